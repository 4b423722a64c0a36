/** The first administrator, and a model that does not answer. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterEach, expect, test } from 'vitest';

import { connected, fill, PASSWORD, say } from '../browser';
import { bodyOf, ending, House, picture, replyTo } from './house';
import { Server } from './server';

let house: House | undefined;

afterEach(async () => {
  await house?.close();
  house = undefined;
});

test('the setup link makes the first administrator, once', async () => {
  house = await House.own();
  const link = /http:\/\/\S+(\/setup#token=\S+)/.exec(house.server.wrote)?.[1];
  if (!link) throw new Error('the server printed no setup link');
  const root = await house.visit(link);
  await picture(root.page, 'setup');
  await fill(root.page, 'root', PASSWORD);
  await connected(root.page);
  expect(root.page.url()).not.toContain('token');
  root.name = 'root';
  const me = await house.call<{ role: string }>(root, 'GET', '/v1/users/me');
  expect(me.role).toBe('admin');
  await house.leave();
  const late = await house.visit(link);
  await fill(late.page, 'second', PASSWORD);
  await late.page.getByRole('alert').getByText(/setup link is not valid/).waitFor();
  // The browser itself notes that the server refused.
  expect(late.complaints.filter((text) => !text.includes('the server responded with'))).toEqual([]);
});

test('a model that fails is said in the room, in words and without secrets', async () => {
  const broken = createServer((request, response) => {
    request.resume();
    response.writeHead(500, { 'content-type': 'application/json' });
    response.end('{"error":{"message":"stack trace of sk-secret"}}');
  });
  await new Promise<void>((resolve) => broken.listen(0, '127.0.0.1', resolve));
  const { port } = broken.address() as AddressInfo;
  house = await House.own(() =>
    Server.start({
      PARLOR_LLM__PROVIDER: 'openai',
      PARLOR_LLM__RETRIES: '0',
      OPENAI_BASE_URL: `http://127.0.0.1:${port}/v1`,
      OPENAI_API_KEY: 'sk-secret',
      LLM_MODEL: 'broken',
    }),
  );
  const ada = await house.welcome('ada');
  await say(ada.page, '@guide are you there?');
  const reply = await replyTo(ada.page, ada, '@guide are you there?');
  expect(await ending(reply)).toBe('failed');
  const text = await reply.innerText();
  expect(text).toContain('Failed');
  expect(text).not.toContain('sk-secret');
  expect(await bodyOf(reply)).toBe('');
  await picture(ada.page, 'failed');
  await house.leave();
  broken.close();
});
