import { expect, test } from 'vitest';

import { collect, login, MESSAGES, numbered, untilAnswered } from './stage.js';

/** Messages that are under way at once; their order is the room's. */
const AT_ONCE = 20;

test('nothing is missing, doubled or out of order, whatever breaks meanwhile', async () => {
  const reader = await login('reader');
  const writer = await login('writer');
  const reading = collect(await untilAnswered(() => reader.open('general')), 'n ', MESSAGES);
  const room = await untilAnswered(() => writer.open('general'));

  const texts = numbered('n', MESSAGES);
  const sent: { seq: number; message: string }[] = [];
  for (let from = 0; from < MESSAGES; from += AT_ONCE) {
    const some = texts.slice(from, from + AT_ONCE).map((text) => room.send(text));
    sent.push(...(await Promise.all(some)));
  }

  const read = await reading;
  expect(read.map((message) => message.body)).toEqual(texts);
  expect(sent.map(({ message, seq }) => `${seq} ${message}`)).toEqual(
    read.map((message) => `${message.seq} ${message.id}`),
  );
});
