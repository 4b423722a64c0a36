import { expect, test } from 'vitest';

import { Queue } from '../src/queue.js';

function queue(capacity = 4, signal?: AbortSignal) {
  const told: (boolean | 'end')[] = [];
  const made = new Queue<number>({
    capacity,
    signal,
    onFull: (full) => told.push(full),
    onEnd: () => told.push('end'),
  });
  return { made, told };
}

test('items come in their order, also to a loop that waits', async () => {
  const { made } = queue();
  const first = made.next();
  made.push(1);
  made.push(2);
  expect([await first, await made.next()].map((result) => result.value)).toEqual([1, 2]);
});

test('a queue says when it is full, and when half of it is free again', async () => {
  const { made, told } = queue();
  for (let n = 1; n <= 4; n += 1) made.push(n);
  expect(told).toEqual([true]);
  await made.next();
  expect(told).toEqual([true]);
  await made.next();
  expect(told).toEqual([true, false]);
});

test('an error comes after what waits, once', async () => {
  const { made, told } = queue();
  made.push(1);
  made.end(new Error('gone'));
  expect((await made.next()).value).toBe(1);
  await expect(made.next()).rejects.toThrow('gone');
  expect(await made.next()).toEqual({ done: true, value: undefined });
  expect(told).toEqual(['end']);
});

test('an aborted loop ends at once with the reason', async () => {
  const abort = new AbortController();
  const { made } = queue(4, abort.signal);
  made.push(1);
  abort.abort(new Error('enough'));
  await expect(made.next()).rejects.toThrow('enough');
  const late = queue(4, abort.signal).made;
  await expect(late.next()).rejects.toThrow('enough');
});

test('a loop that is left says so', async () => {
  const { made, told } = queue();
  made.push(1);
  for await (const item of made) if (item === 1) break;
  expect(told).toEqual(['end']);
});
