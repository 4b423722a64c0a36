/** The server dies, drains and comes back; the page loses nothing and doubles nothing. */

import { afterEach, expect, test } from 'vitest';

import { connected, disconnected, PASSWORD, register, say } from '../browser';
import { bodyOf, ending, House, message, picture, replyTo, shown } from './house';
import { Server } from './server';

let house: House | undefined;

afterEach(async () => {
  await house?.close();
  house = undefined;
});

test('the first reply is there soon after the first visit', async () => {
  house = await House.own(() => Server.startWith({}));
  const ada = await house.visit();
  const began = Date.now();
  await register(ada, 'ada');
  await say(ada.page, '@guide who are you?');
  const reply = await replyTo(ada.page, ada, '@guide who are you?');
  expect(await ending(reply)).toBe('completed');
  const took = Date.now() - began;
  expect(took).toBeLessThan(30_000);
  expect(await bodyOf(reply)).toContain('how to connect a real model');
  await house.leave();
});

test('a killed server comes back with nothing missing and nothing twice', async () => {
  house = await House.own();
  const ada = await house.welcome('ada');
  const bob = await house.welcome('bob');
  for (let n = 1; n <= 5; n += 1) await say(ada.page, `before ${n}`);
  await message(bob.page, 'before 5').waitFor();
  await say(ada.page, '@guide count 300');
  const reply = await replyTo(bob.page, ada, '@guide count 300');
  await expect.poll(() => bodyOf(reply)).toContain('1 2 3 4 5');
  await house.server.kill();
  await Promise.all([disconnected(ada.page), disconnected(bob.page)]);
  await say(bob.page, 'written in the dark');
  const waiting = bob.page.locator('[data-testid=outgoing][data-state=waiting]');
  await waiting.waitFor();
  await picture(bob.page, 'reconnecting');
  await house.server.restart();
  await Promise.all([connected(ada.page, 40_000), connected(bob.page, 40_000)]);
  await message(ada.page, 'written in the dark').waitFor();
  await expect.poll(() => bob.page.getByTestId('outgoing').count()).toBe(0);
  await ending(reply);
  await say(ada.page, 'after');
  await message(bob.page, 'after').waitFor();
  const [first, second] = await Promise.all([shown(ada.page), shown(bob.page)]);
  expect(first).toEqual(second);
  for (const text of ['before 1', 'before 5', 'written in the dark', 'after']) {
    expect(first.filter((line) => line.endsWith(`: ${text}`)), text).toHaveLength(1);
  }
  await bob.page.reload();
  await message(bob.page, 'after').waitFor();
  expect(await shown(bob.page)).toEqual(first);
  await house.leave({ outage: true });
});

test('a server that is stopped tells its pages, which come back with it', async () => {
  house = await House.own();
  const ada = await house.welcome('ada');
  await say(ada.page, 'before the stop');
  await message(ada.page, 'before the stop').waitFor();
  expect(await house.server.terminate()).toBe(0);
  await disconnected(ada.page);
  await say(ada.page, 'during the stop');
  await house.server.restart();
  await connected(ada.page, 40_000);
  await message(ada.page, 'during the stop').waitFor();
  const lines = await shown(ada.page);
  expect(lines.filter((line) => line.includes('the stop'))).toHaveLength(2);
  await house.leave({ outage: true });
});

test('a login outlives a reload and a restart, and logging out ends it', async () => {
  house = await House.own();
  const ada = await house.welcome('ada');
  await ada.page.reload();
  await connected(ada.page);
  await house.server.kill();
  await house.server.restart();
  await ada.page.reload();
  await connected(ada.page);
  await ada.page.getByTestId('logout').click();
  await ada.page.getByTestId('login-form').waitFor();
  await ada.page.reload();
  await ada.page.getByTestId('username').fill(ada.name);
  await ada.page.getByTestId('password').fill(PASSWORD);
  await ada.page.getByTestId('submit').click();
  await connected(ada.page);
  await house.leave({ outage: true });
});
