import { expect, test } from 'vitest';

import type { Resynced } from '../../src/index.js';
import { collect, login, numbered } from './stage.js';

test('a reader that missed too much to continue reads the rest, in order and once', async () => {
  const reader = await login('reader');
  const room = await reader.open('general');
  const resyncs: Resynced[] = [];
  room.on('resync', (resync) => resyncs.push(resync));
  const reading = collect(room, 'n ', 60);
  // Whoever runs the tests now takes the network away, and writes the rest.
  await room.send('n 1');
  expect((await reading).map((message) => message.body)).toEqual(numbered('n', 60));
  expect(resyncs).toMatchObject([{ reason: 'too_far_behind', complete: true }]);
});
