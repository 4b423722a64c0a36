/**
 * The messages of one room as its log tells them: a reducer over events, history pages and the
 * signals of streaming replies.
 *
 * Message objects are never changed in place, so a view may compare them by identity. The text of
 * a streaming reply is kept apart from its message, because it changes with every chunk.
 */

import { Replies, type DeltaOutcome } from './replies.js';
import type {
  Completion,
  Delta,
  EventFrame,
  Message,
  Reaction,
  ReactionChange,
  StreamingReply,
} from './types.js';

const MAX_REACTORS = 20;

export class Timeline {
  readonly #messages = new Map<string, Message>();
  readonly #streams = new Replies();
  #sorted: readonly Message[] | null = null;

  /** Returns the messages in ascending `seq`; the same array until something changes. */
  messages(): readonly Message[] {
    this.#sorted ??= [...this.#messages.values()].sort((a, b) => a.seq - b.seq);
    return this.#sorted;
  }

  get(id: string): Message | undefined {
    return this.#messages.get(id);
  }

  oldestSeq(): number | null {
    return this.messages()[0]?.seq ?? null;
  }

  /** Returns what to show of a message: the text so far while it streams, its body otherwise. */
  text(message: Message): string {
    if (message.status !== 'streaming') return message.body;
    return this.#streams.get(message.id)?.text ?? message.body;
  }

  /** Forgets all messages and shows this newest page instead. Streams of known replies stay. */
  replace(page: readonly Message[]): void {
    this.#messages.clear();
    this.#sorted = null;
    this.add(page);
  }

  /** Adds a page of history. A message that is known keeps what events have told since. */
  add(page: readonly Message[]): void {
    for (const message of page) {
      if (this.#messages.has(message.id)) continue;
      this.#messages.set(message.id, message);
      if (message.status !== 'streaming') this.#streams.drop(message.id);
    }
    this.#sorted = null;
  }

  /** Lets the oldest go when there are more than `max`; tells whether it did. */
  trim(max: number): boolean {
    if (this.#messages.size <= max) return false;
    const gone = this.messages()[this.#messages.size - max - 1];
    if (gone) this.#forgetThrough(gone.seq);
    return true;
  }

  clear(): void {
    this.#messages.clear();
    this.#streams.clear();
    this.#sorted = null;
  }

  /** Applies an event. The caller guarantees the order; a repeated one changes nothing. */
  apply(event: EventFrame): void {
    switch (event.type) {
      case 'message.created':
        this.add([event.data]);
        this.#answered(event.data);
        break;
      case 'message.edited': {
        const { message, ...change } = event.data;
        const edits = (this.#messages.get(message)?.edits ?? 0) + 1;
        this.#update(message, { ...change, edits });
        break;
      }
      case 'message.pinned':
        this.#update(event.data.message, { pinned: { by: event.data.user, at: event.at } });
        break;
      case 'message.unpinned':
        this.#update(event.data.message, { pinned: null });
        break;
      case 'message.redacted':
        this.#streams.drop(event.data.message);
        this.#update(event.data.message, { body: '', redacted_at: event.at, reactions: [] });
        break;
      case 'message.completed':
        this.#complete(event.data);
        break;
      case 'reaction.added':
      case 'reaction.removed':
        this.#react(event.data, event.type === 'reaction.added');
        break;
      case 'history.reset':
        this.#forgetThrough(event.data.through ?? event.seq - 1);
        break;
      default:
        break;
    }
  }

  /** Appends a chunk of a streaming reply. A newer turn drops the text of the older one. */
  applyDelta(delta: Delta): DeltaOutcome {
    const message = this.#messages.get(delta.message);
    if (!message || message.status !== 'streaming') return 'ignored';
    return this.#streams.apply(delta);
  }

  /** Takes over the texts so far that came with `subscribed`. Returns the replies that changed. */
  applySnapshot(replies: readonly StreamingReply[]): string[] {
    const changed = replies.filter((reply) => {
      const message = this.#messages.get(reply.message);
      return (!message || message.status === 'streaming') && this.#streams.take(reply);
    });
    return changed.map((reply) => reply.message);
  }

  /** Counts a message of a thread at its root. */
  #answered({ thread, seq, created_at }: Message): void {
    const root = thread ? this.#messages.get(thread) : undefined;
    if (!root || seq <= (root.replies?.last_seq ?? root.seq)) return;
    const count = (root.replies?.count ?? 0) + 1;
    this.#update(root.id, { replies: { count, last_seq: seq, last_at: created_at } });
  }

  #complete(done: Completion): void {
    this.#streams.drop(done.message);
    const { body, status, usage, error } = done;
    this.#update(done.message, { body, status, usage: usage ?? null, error: error ?? null });
  }

  #react(change: ReactionChange, on: boolean): void {
    const message = this.#messages.get(change.message);
    if (!message) return;
    const { emoji, user } = change;
    const before = message.reactions ?? [];
    const known = before.find((reaction) => reaction.emoji === emoji);
    if (!known && !on) return;
    // Only the first reactors are listed, so a missing name proves nothing in a long list.
    const allListed = !known || known.count <= known.users.length;
    const listed = known?.users.includes(user.username) ?? false;
    if (listed === on && (on || allListed)) return;
    const users = (known?.users ?? []).filter((name) => name !== user.username);
    if (on && users.length < MAX_REACTORS) users.push(user.username);
    const count = Math.max(0, (known?.count ?? 0) + (on ? 1 : -1));
    const next: Reaction = { emoji, count, users };
    const reactions = known
      ? before.map((reaction) => (reaction === known ? next : reaction))
      : [...before, next];
    this.#update(message.id, { reactions: reactions.filter((reaction) => reaction.count > 0) });
  }

  #forgetThrough(seq: number): void {
    for (const message of this.messages()) {
      if (message.seq > seq) break;
      this.#messages.delete(message.id);
      this.#streams.drop(message.id);
    }
    this.#sorted = null;
  }

  #update(id: string, change: Partial<Message>): void {
    const message = this.#messages.get(id);
    if (!message) return;
    this.#messages.set(id, { ...message, ...change });
    this.#sorted = null;
  }
}
