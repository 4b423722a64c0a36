import { expect, test } from 'vitest';

import { collectUntil, login, MESSAGES, untilAnswered } from './stage.js';

/** Messages that are under way at once; their order is the room's. */
const AT_ONCE = 20;
/** It is written until something has broken, however fast the machine is. */
const LOSSES = 1;

test('nothing is missing, doubled or out of order, whatever breaks meanwhile', async () => {
  const reader = await login('reader');
  const writer = await login('writer');
  let losses = 0;
  for (const parlor of [reader, writer]) {
    let open = parlor.state.phase === 'open';
    parlor.on('state', ({ phase }) => {
      if (open && phase !== 'open') losses += 1;
      open = phase === 'open';
    });
  }
  const reading = collectUntil(await untilAnswered(() => reader.open('general')), 'the end');
  const room = await untilAnswered(() => writer.open('general'));

  const texts: string[] = [];
  const sent: { seq: number; message: string }[] = [];
  while (texts.length < MESSAGES || losses < LOSSES) {
    const some = Array.from({ length: AT_ONCE }, (_, n) => `n ${texts.length + n + 1}`);
    texts.push(...some);
    sent.push(...(await Promise.all(some.map((text) => room.send(text)))));
  }
  texts.push('the end');
  sent.push(await room.send('the end'));

  const read = await reading;
  expect(read.map((message) => message.body)).toEqual(texts);
  expect(sent.map(({ message, seq }) => `${seq} ${message}`)).toEqual(
    read.map((message) => `${message.seq} ${message.id}`),
  );
});
