import { expect, test } from 'vitest';

import {
  BOT,
  completed,
  created,
  delta,
  ME,
  message,
  ROOM,
  streamingReply,
} from './support/world.js';
import { Timeline } from '../src/timeline.js';
import type { Delta, EventFrame, ServerFrame } from '../src/types.js';

function apply(timeline: Timeline, ...frames: ServerFrame[]): void {
  for (const frame of frames) timeline.apply(frame as EventFrame);
}

function chunk(timeline: Timeline, turn: number, n: number, text: string) {
  const frame = delta('m1', turn, n, text) as { data: Delta };
  return timeline.applyDelta(frame.data);
}

function shown(timeline: Timeline): string {
  return timeline.text(timeline.get('m1')!);
}

function event(seq: number, type: string, data: unknown): ServerFrame {
  return {
    op: 'event',
    room: ROOM,
    seq,
    type,
    at: '2026-01-02T00:00:00.000Z',
    data,
  } as ServerFrame;
}

test('messages, edits and redactions end in the present state', () => {
  const timeline = new Timeline();
  apply(
    timeline,
    created(1),
    created(2),
    event(3, 'message.edited', { message: 'm1', body: 'better', edited_at: 'now' }),
    event(4, 'message.redacted', { message: 'm2' }),
  );
  expect(timeline.messages().map((m) => m.body)).toEqual(['better', '']);
  expect(timeline.get('m2')?.redacted_at).toBe('2026-01-02T00:00:00.000Z');
});

test('a repeated event changes nothing', () => {
  const timeline = new Timeline();
  apply(timeline, streamingReply(1), completed(2, 'm1', 'done'));
  apply(timeline, streamingReply(1));
  expect(timeline.get('m1')).toMatchObject({ status: 'completed', body: 'done' });
});

test('chunks join in order, and seen ones are dropped', () => {
  const timeline = new Timeline();
  apply(timeline, streamingReply(1));
  expect(chunk(timeline, 1, 1, 'a')).toBe('applied');
  expect(chunk(timeline, 1, 2, 'b')).toBe('applied');
  expect(chunk(timeline, 1, 1, 'a')).toBe('ignored');
  expect(shown(timeline)).toBe('ab');
});

test('a missing chunk is reported and a snapshot repairs it', () => {
  const timeline = new Timeline();
  apply(timeline, streamingReply(1));
  chunk(timeline, 1, 1, 'a');
  expect(chunk(timeline, 1, 3, 'c')).toBe('hole');
  expect(shown(timeline)).toBe('a');
  timeline.applySnapshot([{ message: 'm1', turn: 1, chunk: 3, text: 'abc' }]);
  expect(chunk(timeline, 1, 3, 'c')).toBe('ignored');
  expect(chunk(timeline, 1, 4, 'd')).toBe('applied');
  expect(shown(timeline)).toBe('abcd');
});

test('a newer turn drops the text of the older one', () => {
  const timeline = new Timeline();
  apply(timeline, streamingReply(1));
  chunk(timeline, 1, 1, 'lost');
  expect(chunk(timeline, 2, 2, 'x')).toBe('hole');
  expect(chunk(timeline, 2, 1, 'new')).toBe('applied');
  expect(chunk(timeline, 1, 2, 'stale')).toBe('ignored');
  expect(shown(timeline)).toBe('new');
});

test('an older snapshot does not take text away', () => {
  const timeline = new Timeline();
  apply(timeline, streamingReply(1));
  for (const [n, text] of ['a', 'b', 'c'].entries()) chunk(timeline, 1, n + 1, text);
  expect(timeline.applySnapshot([{ message: 'm1', turn: 1, chunk: 2, text: 'ab' }])).toEqual([]);
  expect(shown(timeline)).toBe('abc');
});

test('the body of the completion is the final truth', () => {
  const timeline = new Timeline();
  apply(timeline, streamingReply(1));
  chunk(timeline, 1, 1, 'not quite');
  apply(timeline, completed(2, 'm1', 'the whole text'));
  expect(shown(timeline)).toBe('the whole text');
  expect(chunk(timeline, 1, 2, 'late')).toBe('ignored');
});

test('a snapshot that comes before its message is kept for it', () => {
  const timeline = new Timeline();
  timeline.applySnapshot([{ message: 'm1', turn: 1, chunk: 5, text: 'so far' }]);
  apply(timeline, streamingReply(1));
  expect(shown(timeline)).toBe('so far');
});

test('reactions count each person once', () => {
  const timeline = new Timeline();
  const on = event(2, 'reaction.added', { message: 'm1', emoji: '👍', user: ME });
  apply(timeline, created(1), on, on);
  apply(timeline, event(3, 'reaction.added', { message: 'm1', emoji: '👍', user: BOT }));
  expect(timeline.get('m1')?.reactions).toEqual([
    { emoji: '👍', count: 2, users: ['ada', 'guide'] },
  ]);
  apply(timeline, event(4, 'reaction.removed', { message: 'm1', emoji: '👍', user: ME }));
  apply(timeline, event(5, 'reaction.removed', { message: 'm1', emoji: '👍', user: BOT }));
  expect(timeline.get('m1')?.reactions).toEqual([]);
});

test('a reset forgets what was before and keeps what came after', () => {
  const timeline = new Timeline();
  apply(timeline, created(1), created(2), event(3, 'history.reset', { through: 2 }), created(4));
  expect(timeline.messages().map((m) => m.id)).toEqual(['m4']);
});

test('an unchanged timeline gives the same array and the same objects', () => {
  const timeline = new Timeline();
  apply(timeline, created(1), streamingReply(2));
  const before = timeline.messages();
  timeline.applyDelta({ message: 'm2', turn: 1, chunk: 1, text: 'x' });
  expect(timeline.messages()).toBe(before);
  apply(timeline, created(3));
  expect(timeline.messages()[0]).toBe(before[0]);
});

test('older pages go before what is shown', () => {
  const timeline = new Timeline();
  timeline.replace([message(5), message(6)]);
  timeline.add([message(3), message(4)]);
  expect(timeline.messages().map((m) => m.seq)).toEqual([3, 4, 5, 6]);
  expect(timeline.trim(3)).toBe(true);
  expect(timeline.oldestSeq()).toBe(4);
});

test('pins, versions and answers in a thread show at their message', () => {
  const timeline = new Timeline();
  apply(
    timeline,
    created(1),
    event(2, 'message.pinned', { message: 'm1', user: ME }),
    event(3, 'message.edited', { message: 'm1', body: 'hi', edited_at: 'now', mentions: [BOT] }),
    created(4, { thread: 'm1' }),
    created(5, { thread: 'm1' }),
  );
  expect(timeline.get('m1')).toMatchObject({
    pinned: { by: ME, at: '2026-01-02T00:00:00.000Z' },
    edits: 1,
    mentions: [BOT],
    replies: { count: 2, last_seq: 5 },
  });
  apply(timeline, event(6, 'message.unpinned', { message: 'm1', user: ME }));
  expect(timeline.get('m1')?.pinned).toBeNull();
});
