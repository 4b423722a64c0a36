import { expect, test } from 'vitest';

import { StorageLocks } from '../src/storage-locks.js';
import { ManualClock } from './support/clock.js';
import { SharedStorage } from './support/world.js';

test('two holders take turns', async () => {
  const clock = new ManualClock();
  const storage = new SharedStorage();
  const order: string[] = [];
  const enter = (name: string) => {
    const locks = new StorageLocks(storage.tab().store, clock, () => name);
    return locks.run('refresh', async () => {
      order.push(`${name} in`);
      await new Promise<void>((resolve) => clock.setTimeout(resolve, 500));
      order.push(`${name} out`);
    });
  };
  const both = Promise.all([enter('a'), enter('b')]);
  await clock.advance(5_000);
  await both;
  expect(order).toHaveLength(4);
  expect(order[1]).toBe(order[0]?.replace('in', 'out'));
  expect(order[3]).toBe(order[2]?.replace('in', 'out'));
});

test('a holder that vanished is overtaken, and a failing one lets go', async () => {
  const clock = new ManualClock();
  const { store } = new SharedStorage().tab();
  store.setItem('refresh.lock', JSON.stringify({ owner: 'gone', until: clock.now() + 15_000 }));
  const locks = new StorageLocks(store, clock, () => 'me');
  const failed = expect(
    locks.run('refresh', () => Promise.reject(new Error('no'))),
  ).rejects.toThrow('no');
  await clock.advance(16_000);
  await failed;
  expect(store.getItem('refresh.lock')).toBeNull();
});
