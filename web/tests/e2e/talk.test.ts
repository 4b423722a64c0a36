/** People and the bot in one room: live words, late comers, stopping, safe text. */

import type { Locator } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { say } from '../browser';
import { bodyOf, ending, House, message, picture, replyTo, unique } from './house';

let house: House;

beforeAll(async () => {
  house = await House.open();
});

afterEach(() => house.leave());

afterAll(() => house?.close());

/** Collects the different texts that a reply shows until it has ended. */
async function watch(reply: Locator): Promise<string[]> {
  const texts: string[] = [];
  for (;;) {
    const status = await reply.getAttribute('data-status');
    const text = await bodyOf(reply);
    if (text !== texts.at(-1)) texts.push(text);
    if (status !== 'streaming') return texts;
    await reply.page().waitForTimeout(30);
  }
}

/** Tells how a reply ended and when its page showed that, by the page's own clock. */
function endOf(reply: Locator): Promise<{ status: string | null; at: number }> {
  return reply.evaluate((item) => {
    return new Promise((told) => {
      const look = () => {
        const status = item.getAttribute('data-status');
        if (status !== 'streaming') told({ status, at: Date.now() });
      };
      new MutationObserver(look).observe(item, { attributes: true });
      look();
    });
  });
}

test('two people see every word of a reply while it is written', async () => {
  const ada = await house.welcome('ada');
  const bob = await house.welcome('bob');
  const question = '@guide count 60';
  const marker = unique('ready');
  await say(ada.page, marker);
  await message(bob.page, marker).waitFor();
  await say(ada.page, question);
  const replies = await Promise.all([ada, bob].map(({ page }) => replyTo(page, ada, question)));
  const seen = await Promise.all(replies.map(watch));
  const final = seen[0]?.at(-1) ?? '';
  expect(final).toBe(Array.from({ length: 60 }, (_, n) => n + 1).join(' '));
  for (const texts of seen) {
    expect(texts.length).toBeGreaterThan(5);
    for (const text of texts) expect(final.startsWith(text)).toBe(true);
    expect(texts.at(-1)).toBe(final);
  }
  for (const reply of replies) expect(await ending(reply)).toBe('completed');
});

test('a newcomer is told how to talk to the bot', async () => {
  const ada = await house.welcome('ada');
  const slug = unique('fresh');
  await house.call(ada, 'POST', '/v1/rooms', { name: slug, slug, kind: 'public', bots: ['guide'] });
  await ada.page.goto(`${house.url}/#/${slug}`);
  const suggestion = ada.page.getByTestId('hint').getByRole('button', { name: '@guide hello' });
  await suggestion.waitFor();
  await picture(ada.page, 'hint');
  await suggestion.click();
  await ada.page.keyboard.press('Enter');
  const reply = await replyTo(ada.page, ada, '@guide hello');
  expect(await ending(reply)).toBe('completed');
  expect(await bodyOf(reply)).toContain('How to connect a real model');
  expect(await ada.page.getByTestId('hint').count()).toBe(0);
  await picture(ada.page, 'first-reply');
});

test('someone who comes in the middle of a reply ends with the same text', async () => {
  const ada = await house.welcome('ada');
  // Longer than a page needs on a busy machine, so it is stopped in the end.
  const question = '@guide count 1000';
  await say(ada.page, question);
  const first = await replyTo(ada.page, ada, question);
  await expect.poll(() => bodyOf(first)).toContain('20');
  const late = await house.welcome('late');
  const second = await replyTo(late.page, ada, question);
  expect(await second.getAttribute('data-status')).toBe('streaming');
  const joined = await bodyOf(second);
  expect(joined).toContain('1 2 3');
  await expect.poll(async () => (await bodyOf(second)).length).toBeGreaterThan(joined.length);
  await second.getByTestId('stop').click();
  expect(await Promise.all([ending(first), ending(second)])).toEqual(['cancelled', 'cancelled']);
  const text = await bodyOf(second);
  expect(text).toBe(await bodyOf(first));
  expect(text).toMatch(/^1 2 3 /);
  // Nothing is missing where the live words took over.
  const numbers = text.split(' ').slice(0, -1);
  expect(numbers).toEqual(numbers.map((_, n) => `${n + 1}`));
});

test('anybody may stop a reply, which keeps its text so far', async () => {
  const ada = await house.welcome('ada');
  const bob = await house.welcome('bob');
  const question = '@guide count 2000';
  await say(ada.page, question);
  const mine = await replyTo(ada.page, ada, question);
  const his = await replyTo(bob.page, ada, question);
  await expect.poll(() => bodyOf(his)).toContain('1 2 3 4 5 6 7 8 9 10');
  await picture(bob.page, 'streaming');
  const ends = [endOf(mine), endOf(his)];
  const stop = his.getByTestId('stop');
  const pressed = stop.evaluate((button) => {
    return new Promise<number>((told) => button.addEventListener('click', () => told(Date.now())));
  });
  await stop.click();
  for (const { status, at } of await Promise.all(ends)) {
    expect(status).toBe('cancelled');
    expect(at - (await pressed)).toBeLessThan(5_000);
  }
  const text = await bodyOf(mine);
  expect(text).toContain('1 2 3 4 5 6 7 8 9 10');
  expect(text).not.toContain('2000');
  expect(await bodyOf(his)).toBe(text);
  expect(await mine.getByText('Stopped').count()).toBe(1);
  await ada.page.reload();
  await expect.poll(() => ada.page.locator('[data-status=cancelled]').count()).toBeGreaterThan(0);
  expect(await bodyOf(await replyTo(ada.page, ada, question))).toBe(text);
});

test('Markdown and code of a reply are shown as such', async () => {
  const ada = await house.welcome('ada');
  await say(ada.page, '@guide markdown');
  const markdown = await replyTo(ada.page, ada, '@guide markdown');
  expect(await ending(markdown)).toBe('completed');
  const body = markdown.getByTestId('message-body');
  for (const tag of ['h1', 'strong', 'em', 'del', 'code', 'ol', 'ul', 'table', 'blockquote', 'hr']) {
    expect(await body.locator(tag).count(), tag).toBeGreaterThan(0);
  }
  const link = body.locator('a').first();
  expect(await link.getAttribute('href')).toBe('https://commonmark.org/help/');
  expect(await link.getAttribute('rel')).toBe('noopener noreferrer nofollow');
  await say(ada.page, '@guide code rust');
  const code = await replyTo(ada.page, ada, '@guide code rust');
  expect(await ending(code)).toBe('completed');
  await code.locator('pre .hljs-keyword').first().waitFor();
  expect(await markdown.getByText('demo', { exact: true }).count()).toBe(1);
  await picture(ada.page, 'markdown');
});

test('text that tries to run, load or lure does nothing', async () => {
  const mallory = await house.welcome('mallory');
  const victim = await house.welcome('victim');
  const marker = unique('attack');
  const body = [
    marker,
    '<img src=x onerror="window.owned=1"><svg onload="window.owned=1"></svg>',
    '<script>window.owned = 1</script>',
    '[press](javascript:window.owned=1) [too](data:text/html,<script>1</script>)',
    '![picture](http://192.0.2.1/spy.png)',
    '<iframe src="javascript:parent.owned=1"></iframe><a href="javascript:owned=1">x</a>',
    '<style>body { display: none }</style><div style="position:fixed;inset:0">cover</div>',
  ].join('\n\n');
  await say(mallory.page, body);
  for (const { page } of [mallory, victim]) {
    const item = message(page, marker).getByTestId('message-body');
    await item.getByText('window.owned = 1').waitFor();
    expect(await item.locator('img, script, svg, iframe, style, [style], [onerror], [onload]').count()).toBe(0);
    const links = await item.locator('a[href]').evaluateAll((all) => all.map((a) => a.getAttribute('href')));
    expect(links).toEqual(['http://192.0.2.1/spy.png']);
    expect(await page.evaluate(() => 'owned' in window)).toBe(false);
    expect(await page.getByTestId('composer').isVisible()).toBe(true);
  }
});

test('a message is edited and deleted by its author, and others see it', async () => {
  const ada = await house.welcome('ada');
  const bob = await house.welcome('bob');
  const slug = unique('desk');
  // A room of their own, where nothing else moves what they point at.
  const room = { name: slug, slug, kind: 'private', members: [bob.name] };
  await house.call(ada, 'POST', '/v1/rooms', room);
  for (const { page } of [ada, bob]) {
    await page.goto(`${house.url}/#/${slug}`);
    await page.getByRole('heading', { name: slug }).waitFor();
  }
  const first = unique('first');
  const second = unique('second');
  await say(ada.page, first);
  const theirs = message(bob.page, first);
  const id = await theirs.getAttribute('data-id');
  const mine = ada.page.locator(`[data-id="${id}"]`);
  expect(await theirs.getByTestId('edit').count()).toBe(0);
  await mine.hover();
  await mine.getByTestId('edit').click();
  await ada.page.getByTestId('edit-body').fill(second);
  await ada.page.getByTestId('edit-body').press('Enter');
  const after = bob.page.locator(`[data-id="${id}"]`);
  await after.getByText(second).waitFor();
  await after.getByText('edited').waitFor();
  await mine.hover();
  await mine.getByTestId('delete').click();
  await after.getByText('This message was deleted.').waitFor();
  await ada.page.reload();
  await mine.getByText('This message was deleted.').waitFor();
});
