/** Rooms, history and the ways around the page. */

import { readFile } from 'node:fs/promises';

import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { connected, PASSWORD, say } from '../browser';
import { bodyOf, ending, House, message, picture, replyTo, unique } from './house';

let house: House;

beforeAll(async () => {
  house = await House.open();
});

afterEach(() => house.leave());

afterAll(() => house?.close());

test('a private room is for those who are invited', async () => {
  const ada = await house.welcome('ada');
  const bob = await house.welcome('bob');
  const name = unique('Den');
  await ada.page.getByTestId('create-room').click();
  await ada.page.getByRole('radio', { name: /Private/ }).check();
  await ada.page.getByTestId('room-name').fill(name);
  await ada.page.getByRole('button', { name: 'Create', exact: true }).click();
  await ada.page.getByRole('heading', { name }).waitFor();
  await picture(ada.page, 'empty-room');
  await bob.page.getByTestId('browse-rooms').click();
  await bob.page.getByRole('dialog').getByRole('listitem').first().waitFor();
  expect(await bob.page.getByRole('dialog').getByText(name).count()).toBe(0);
  await bob.page.getByRole('button', { name: 'Close', exact: true }).click();
  await ada.page.getByLabel('User name to invite').fill(bob.name);
  await ada.page.getByRole('button', { name: 'Invite', exact: true }).click();
  await ada.page.getByTestId('member').filter({ hasText: bob.name }).waitFor();
  await say(ada.page, 'only for us');
  await bob.page.reload();
  await connected(bob.page);
  await bob.page.getByTestId('room-item').filter({ hasText: name }).click();
  await message(bob.page, 'only for us').waitFor();
});

test('in a direct room the bot answers without being named', async () => {
  const ada = await house.welcome('ada');
  const bot = ada.page.getByTestId('member').filter({ hasText: '@guide' });
  await bot.hover();
  await bot.getByTestId('message-member').click();
  await ada.page.getByRole('heading', { name: /guide/i }).waitFor();
  await picture(ada.page, 'direct-room');
  await say(ada.page, 'echo good evening');
  const reply = await replyTo(ada.page, ada, 'echo good evening');
  expect(await ending(reply)).toBe('completed');
  expect(await bodyOf(reply)).toBe('good evening');
});

test('older history is loaded, and all of it can be downloaded', async () => {
  const ada = await house.welcome('ada');
  const slug = unique('archive');
  await house.call(ada, 'POST', '/v1/rooms', { name: slug, slug, kind: 'public' });
  for (let n = 1; n <= 120; n += 1) {
    await house.call(ada, 'POST', `/v1/rooms/${slug}/messages`, { body: `entry ${n}.` });
  }
  await ada.page.goto(`${house.url}/#/${slug}`);
  await ada.page.getByText('entry 120.').waitFor();
  expect(await ada.page.getByText('entry 1.', { exact: true }).count()).toBe(0);
  const first = ada.page.getByText('entry 1.', { exact: true });
  const older = ada.page.getByTestId('load-older');
  const press = () => older.click({ timeout: 500 }).catch(() => undefined);
  await expect.poll(() => press().then(() => first.count()), { timeout: 20_000 }).toBe(1);
  const texts = await ada.page.getByTestId('message-body').allInnerTexts();
  expect(texts.map((text) => text.trim())).toEqual(Array.from({ length: 120 }, (_, n) => `entry ${n + 1}.`));
  for (const [format, suffix] of [['markdown', 'md'], ['jsonl', 'jsonl'], ['json', 'json']]) {
    await ada.page.getByTestId('room-menu').click();
    const downloading = ada.page.waitForEvent('download');
    await ada.page.getByTestId(`export-${format}`).click();
    const download = await downloading;
    expect(download.suggestedFilename()).toBe(`${slug}.${suffix}`);
    const text = await readFile(await download.path(), 'utf8');
    for (const n of [1, 60, 120]) expect(text).toContain(`entry ${n}.`);
  }
});

test('what happens in another room is counted until it is read', async () => {
  const ada = await house.welcome('ada');
  const bob = await house.welcome('bob');
  const slug = unique('side');
  await house.call(ada, 'POST', '/v1/rooms', { name: slug, slug, kind: 'public' });
  await ada.page.goto(`${house.url}/#/${slug}`);
  await ada.page.getByRole('heading', { name: slug }).waitFor();
  const text = unique('anyone');
  await say(bob.page, text);
  const general = ada.page.locator('[data-testid=room-item][data-slug=general]');
  await general.locator('.count').waitFor();
  await general.click();
  await message(ada.page, text).waitFor();
  await expect.poll(() => general.locator('.count').count()).toBe(0);
  await ada.page.waitForTimeout(1_200);
  await ada.page.reload();
  await message(ada.page, text).waitFor();
  expect(await general.locator('.count').count()).toBe(0);
});

test('the keyboard is enough to log in, choose a room, write and stop', async () => {
  const ada = await house.welcome('ada');
  const slug = unique('keys');
  await house.call(ada, 'POST', '/v1/rooms', { name: slug, slug, kind: 'public', bots: ['guide'] });
  const { page } = await house.visit();
  await page.keyboard.type(ada.name);
  await page.keyboard.press('Tab');
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press('Enter');
  await connected(page);
  await tabTo(page, `[data-testid=room-item][data-slug="${slug}"]`);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: slug }).waitFor();
  await tabTo(page, '[data-testid=composer]');
  await page.keyboard.type('@guide count 2000');
  await page.keyboard.press('Enter');
  await page.getByTestId('stop').waitFor();
  await tabTo(page, '[data-testid=stop]', 'Shift+Tab');
  await page.keyboard.press('Enter');
  expect(await ending(await replyTo(page, ada, '@guide count 2000'))).toBe('cancelled');
});

/** Presses Tab until the element has the focus, as somebody without a mouse does. */
async function tabTo(page: Page, selector: string, key = 'Tab'): Promise<void> {
  for (let presses = 0; presses < 60; presses += 1) {
    if (await page.evaluate((wanted) => document.activeElement?.matches(wanted), selector)) return;
    await page.keyboard.press(key);
  }
  throw new Error(`${selector} cannot be reached by keyboard`);
}

test.each([
  ['phone', { viewport: { width: 360, height: 720 }, hasTouch: true, isMobile: true }],
  ['dark', { viewport: { width: 1280, height: 800 }, colorScheme: 'dark' }],
] as const)('the page fits: %s', async (name, options) => {
  const ada = await house.welcome('ada', options);
  const { page } = ada;
  await picture(page, `${name}-room`);
  for (const question of ['@guide markdown', '@guide code rust']) {
    await say(page, question);
    expect(await ending(await replyTo(page, ada, question))).toBe('completed');
  }
  const word = unique('word') + 'x'.repeat(200);
  await say(page, word);
  await message(page, word).waitFor();
  await picture(page, `${name}-reply`);
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  expect(width).toBeLessThanOrEqual(options.viewport.width);
  if (name === 'phone') {
    await page.getByRole('button', { name: 'Rooms', exact: true }).tap();
    await picture(page, 'phone-rooms');
    await page.getByTestId('room-item').first().tap();
    await page.getByRole('button', { name: /members/ }).tap();
    await page.getByTestId('member').first().waitFor();
    await picture(page, 'phone-members');
  }
});

test.each(['/docs', '/redoc'])('%s shows the operations without help from outside', async (path) => {
  const { page } = await house.visit(path);
  await page.getByText('/v1/rooms/{room}/messages').first().waitFor();
  expect(await page.getByText('Warning', { exact: true }).count()).toBe(0);
  await picture(page, path.slice(1));
});
