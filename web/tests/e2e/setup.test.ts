/** The first administrator, and a model that does not answer. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterEach, expect, test } from 'vitest';

import { connected, fill, PASSWORD, say } from '../browser';
import { bodyOf, ending, House, message, picture, replyTo } from './house';
import { Server } from './server';

const ADMIN = { PARLOR_ADMIN_USERNAME: 'root', PARLOR_ADMIN_PASSWORD: PASSWORD };

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
  await late.page.getByText(/setup link is not valid/).waitFor();
  await house.leave({ refusal: true });
});

test('the reasons for a refusal stand in the form', async () => {
  house = await House.own();
  const ada = await house.welcome('ada');
  const { page } = await house.visit();
  await fill(page, ada.name, 'not the password');
  await page.getByText('The user name or the password is wrong.').waitFor();
  await page.getByTestId('switch-mode').click();
  await fill(page, 'grace', 'short');
  await expect.poll(() => page.locator('#password-errors').innerText()).toMatch(/^The password .*8 characters/);
  await fill(page, 'grace', 'password123');
  await expect.poll(() => page.locator('#password-errors').innerText()).toMatch(/common|guess/i);
  await fill(page, ada.name, PASSWORD);
  await expect.poll(() => page.locator('#username-errors').innerText()).toBe('The user name is taken.');
  await picture(page, 'refused');
  await house.leave({ refusal: true });
});

test('an invite link brings somebody new into a private room', async () => {
  house = await House.own(() => Server.start({ PARLOR_AUTH__REGISTRATION: 'invite', ...ADMIN }));
  const root = await house.visit();
  await fill(root.page, ADMIN.PARLOR_ADMIN_USERNAME, PASSWORD);
  await connected(root.page);
  await root.page.getByTestId('create-room').click();
  await root.page.getByRole('radio', { name: /Private/ }).check();
  await root.page.getByTestId('room-name').fill('Den');
  await root.page.getByRole('button', { name: 'Create', exact: true }).click();
  await root.page.getByTestId('make-invite-link').click();
  const link = await root.page.getByTestId('invite-link').inputValue();
  const stranger = await house.visit();
  await stranger.page.getByText('Ask for an invite link.').waitFor();
  const guest = await house.visit(new URL(link).pathname);
  await guest.page.getByTestId('invited').getByText('Den').waitFor();
  await picture(guest.page, 'invited');
  await fill(guest.page, 'guest', PASSWORD);
  await connected(guest.page);
  await guest.page.getByRole('heading', { name: 'Den' }).waitFor();
  expect(guest.page.url()).not.toContain('invite');
  await say(guest.page, 'here I am');
  await message(root.page, 'here I am').waitFor();
  await house.leave();
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
