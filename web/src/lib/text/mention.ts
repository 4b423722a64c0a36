/** Completion of `@name` while someone writes. */

import type { Member } from '@parlor/client';

const MAX_CHOICES = 6;

export interface MentionQuery {
  /** Where the `@` stands. */
  start: number;
  /** What follows it so far. */
  text: string;
}

/** Returns the mention that is being written at `caret`, if one is. */
export function mentionAt(text: string, caret: number): MentionQuery | null {
  const match = /(?:^|[\s(])@([\w.-]{0,40})$/.exec(text.slice(0, caret));
  if (!match) return null;
  const written = match[1] ?? '';
  return { start: caret - written.length - 1, text: written };
}

/** Returns the members that fit, those whose user name begins with the query first. */
export function mentionChoices(query: string, members: readonly Member[], me: string): Member[] {
  const wanted = query.toLowerCase();
  const rank = ({ user }: Member): number => {
    if (user.username.toLowerCase().startsWith(wanted)) return user.kind === 'bot' ? 0 : 1;
    return user.display_name.toLowerCase().includes(wanted) ? 2 : 3;
  };
  return members
    .filter((member) => member.user.id !== me && rank(member) < 3)
    .sort((a, b) => rank(a) - rank(b))
    .slice(0, MAX_CHOICES);
}

/** Puts `username` in the place of the query and returns the text and the new caret. */
export function completeMention(
  text: string,
  query: MentionQuery,
  caret: number,
  username: string,
): { text: string; caret: number } {
  const head = `${text.slice(0, query.start)}@${username} `;
  return { text: head + text.slice(caret).replace(/^ /, ''), caret: head.length };
}
