import { afterAll, beforeAll, expect, test } from 'vitest';

import { connected, fill, say } from '../browser';
import { Stage } from './stage';

let stage: Stage;

beforeAll(async () => {
  stage = await Stage.open({ everyMs: 15 });
});

afterAll(async () => {
  await stage?.close();
});

test('a newcomer registers, writes, and sees a reply stream to its end', async () => {
  const { page, complaints } = await stage.register('ada');
  await say(page, 'hello @guide');
  const reply = page.locator('[data-testid=message][data-sender=guide]').last();
  await page.locator('[data-testid=message][data-status=streaming]').waitFor();
  await expect.poll(() => page.getByTestId('bot-status').textContent()).toContain('Guide');
  await page.locator('[data-testid=message][data-sender=guide][data-status=completed]').waitFor();
  const body = reply.getByTestId('message-body');
  expect(await body.locator('strong').first().textContent()).toBe('Bold');
  await body.locator('.hljs-keyword').first().waitFor();
  expect(await body.locator('img, script').count()).toBe(0);
  expect(await body.locator('a').first().getAttribute('rel')).toBe('noopener noreferrer nofollow');
  expect(await reply.getByText('demo', { exact: true }).count()).toBe(1);
  expect(await page.getByTestId('stop').count()).toBe(0);
  expect(complaints).toEqual([]);
});

test('a reply is seen by all, joined late, and stopped by somebody else', async () => {
  const one = await stage.register('joan');
  await say(one.page, '@guide a long one please');
  await one.page.locator('[data-testid=message][data-status=streaming]').waitFor();
  const two = await stage.register('mary');
  const live = two.page.locator('[data-testid=message][data-status=streaming]');
  await live.getByText('Lists and links').first().waitFor();
  await two.page.getByTestId('stop-writing').click();
  const stopped = '[data-testid=message][data-status=cancelled]';
  await one.page.locator(stopped).waitFor();
  await two.page.locator(stopped).waitFor();
  const texts = await Promise.all(
    [one, two].map(({ page }) => page.locator(stopped).getByTestId('message-body').textContent()),
  );
  expect(texts[0]).toContain('Lists and links');
  expect(texts[0]).toBe(texts[1]);
  expect([...one.complaints, ...two.complaints]).toEqual([]);
});

test('a lost connection comes back, and a message written meanwhile is there once', async () => {
  const { page } = await stage.register('edith');
  stage.mock.closeAll(4001);
  await page.locator('[data-testid=connection-status]:not([data-state=open])').waitFor();
  await say(page, 'written in the dark');
  await connected(page);
  const mine = page.locator('[data-testid=message][data-sender=edith]');
  await mine.getByText('written in the dark').waitFor();
  await expect.poll(() => page.getByTestId('outgoing').count()).toBe(0);
  expect(await mine.count()).toBe(1);
});

test('the reasons for a refused registration stand at the fields', async () => {
  const { page } = await stage.visit();
  await page.getByTestId('switch-mode').click();
  await fill(page, 'grace', 'short');
  await page.getByText('Use at least 8 characters.').waitFor();
  await page.getByText('This name is taken.').waitFor();
});

test('the setup link makes the first administrator and leaves the address', async () => {
  const { page, complaints } = await stage.visit(`/setup#token=${stage.mock.state.setupToken}`);
  await fill(page, 'root', 'correct horse battery');
  await connected(page);
  expect(page.url()).not.toContain('token');
  await page.reload();
  await connected(page);
  expect(complaints).toEqual([]);
});

test('rooms are joined, made and left, and what happens elsewhere is counted', async () => {
  const { page } = await stage.register('hedy');
  await page.getByTestId('browse-rooms').click();
  await page.locator('[data-testid=join-room][data-slug=reading]').click();
  await page.getByRole('heading', { name: 'Reading group' }).waitFor();
  const other = await stage.register('emmy');
  await say(other.page, 'anyone there?');
  const general = page.locator('[data-testid=room-item][data-slug=general]');
  await general.locator('.count').waitFor();
  await general.click();
  await page.getByText('anyone there?').waitFor();
  await expect.poll(() => general.locator('.count').count()).toBe(0);
  await page.getByTestId('create-room').click();
  await page.getByTestId('room-name').fill('Night shift');
  await page.getByRole('button', { name: 'Create' }).click();
  await page.getByRole('heading', { name: 'Night shift' }).waitFor();
  expect(await page.locator('[data-testid=room-item]').count()).toBe(3);
});

test('a message is edited and deleted by its author', async () => {
  const { page } = await stage.register('lise');
  await say(page, 'first thought');
  const mine = page.locator('[data-testid=message][data-sender=lise]');
  await mine.hover();
  await mine.getByTestId('edit').click();
  await page.getByTestId('edit-body').fill('second thought');
  await page.getByTestId('edit-body').press('Enter');
  await mine.getByText('second thought').waitFor();
  await mine.getByTestId('delete').click();
  await mine.getByText('This message was deleted.').waitFor();
});

test('older messages are loaded without moving what is read', async () => {
  const { state } = stage.mock;
  const room = state.findRoom('reading')!;
  const grace = state.users.get('grace')!.user;
  for (let n = 1; n <= 130; n += 1) state.publish(room, grace, `page ${n}`);
  const { page } = await stage.register('maria');
  await page.getByTestId('browse-rooms').click();
  await page.locator('[data-testid=join-room][data-slug=reading]').click();
  await page.getByText('page 130', { exact: true }).waitFor();
  expect(await page.getByText('page 81', { exact: true }).count()).toBe(1);
  expect(await page.getByText('page 80', { exact: true }).count()).toBe(0);
  const scroller = page.getByRole('region', { name: 'Messages' });
  const marker = page.getByText('page 82', { exact: true });
  await scroller.evaluate((element) => element.scrollTo(0, 100));
  const before = await marker.boundingBox();
  await page.getByText('page 80', { exact: true }).waitFor();
  await expect
    .poll(async () => Math.abs(((await marker.boundingBox())?.y ?? 0) - (before?.y ?? 0)))
    .toBeLessThan(3);
  await page.getByTestId('jump-to-newest').click();
  await expect.poll(() => page.getByText('page 130', { exact: true }).isVisible()).toBe(true);
});

test('a name is completed while it is written', async () => {
  const { page } = await stage.register('rosa');
  const composer = page.getByTestId('composer');
  await page.getByTestId('member').first().waitFor();
  await composer.pressSequentially('hi @gui');
  await page.getByRole('option', { name: /@guide/ }).waitFor();
  await composer.press('Tab');
  expect(await composer.inputValue()).toBe('hi @guide ');
  await composer.press('Shift+Enter');
  expect(await composer.inputValue()).toBe('hi @guide \n');
});

test('logging out ends the other tab of the same browser too', async () => {
  const { page } = await stage.register('sofia');
  const second = await page.context().newPage();
  await second.goto(stage.mock.url);
  await connected(second);
  await page.getByTestId('logout').click();
  await page.getByTestId('login-form').waitFor();
  await second.getByTestId('login-form').waitFor();
});

test.each(['/docs', '/redoc'])('%s shows the API without help from outside', async (path) => {
  const { page, complaints, outside } = await stage.visit(path);
  await page.getByText('Who am I').first().waitFor();
  expect(outside).toEqual([]);
  expect(complaints).toEqual([]);
});
