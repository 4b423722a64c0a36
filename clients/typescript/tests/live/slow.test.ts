import { expect, test } from 'vitest';

import { login } from './stage.js';

test('a reader that was too slow is closed with 4001, resumes and misses nothing', async () => {
  const reader = await login('reader');
  const closed: string[] = [];
  reader.on('state', (state) => state.phase === 'waiting' && closed.push(state.reason));
  const room = await reader.open('general');
  const seqs: number[] = [];
  const loop = room.items();
  // Whoever runs the tests now takes the network away, and floods the room.
  await room.send('ready');
  for await (const item of loop) {
    if (item.op !== 'event') throw new Error(`the position was lost: ${JSON.stringify(item)}`);
    seqs.push(item.seq);
    if (item.type === 'message.created' && item.data.body === 'the end') break;
  }
  expect(seqs).toEqual(seqs.map((_, at) => (seqs[0] ?? 0) + at));
  expect(closed).toContain('this connection was too slow');
});
