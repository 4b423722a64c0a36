import { expect, test } from 'vitest';

import type { Member } from '@parlor/client';
import { completeMention, mentionAt, mentionChoices } from './mention';

function member(username: string, display_name: string, kind: 'user' | 'bot' = 'user'): Member {
  const user = { id: username, username, display_name, kind };
  return { user, role: 'member', status: 'online', joined_at: '' };
}

test('a mention is found where the caret is, but not inside an address', () => {
  expect(mentionAt('hi @gu', 6)).toEqual({ start: 3, text: 'gu' });
  expect(mentionAt('@', 1)).toEqual({ start: 0, text: '' });
  expect(mentionAt('me@example', 10)).toBeNull();
  expect(mentionAt('hi @gu and', 10)).toBeNull();
});

test('names that begin with the query come first, bots before people, never oneself', () => {
  const members = [
    member('grace', 'Grace'),
    member('ada', 'Ada Guilder'),
    member('guide', 'Guide', 'bot'),
    member('me', 'Gus'),
  ];
  const names = (query: string) => mentionChoices(query, members, 'me').map((m) => m.user.username);
  expect(names('g')).toEqual(['guide', 'grace', 'ada']);
  expect(names('gui')).toEqual(['guide', 'ada']);
  expect(names('zz')).toEqual([]);
});

test('completing puts the name and one space', () => {
  const query = { start: 3, text: 'gu' };
  expect(completeMention('hi @gu there', query, 6, 'guide')).toEqual({
    text: 'hi @guide there',
    caret: 10,
  });
});
