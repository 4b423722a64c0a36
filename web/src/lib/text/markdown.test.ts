// @vitest-environment jsdom
import { expect, test } from 'vitest';

import { renderBlocks } from './markdown';

function html(text: string): string {
  return renderBlocks(text)
    .map((block) => block.html)
    .join('');
}

function dom(text: string): HTMLElement {
  const root = document.createElement('div');
  root.innerHTML = html(text);
  return root;
}

const HOSTILE = [
  '<script>alert(1)</script>',
  '<img src=x onerror=alert(1)>',
  'text <svg/onload=alert(1)> text',
  '<iframe src="https://example.org"></iframe>',
  '[x](javascript:alert(1))',
  '[x](JaVaScRiPt&colon;alert(1))',
  '[x](data:text/html,<script>alert(1)</script>)',
  '<a href="javascript:alert(1)">x</a>',
  '![x](https://example.org/x.png"onerror="alert(1))',
  '![x](javascript:alert(1))',
  '<p style="position:fixed">x</p>',
  '<form action="https://example.org"><input name=q></form>',
  '```"><img src=x onerror=alert(1)>\ncode\n```',
  '[x](https://example.org "\\" onclick=\\"alert(1)")',
  '<math><mtext><table><mglyph><style><!--</style><img title="--><img src=1 onerror=alert(1)>">',
];

test.each(HOSTILE)('%s does nothing', (text) => {
  const root = dom(text);
  expect(root.querySelector('script, img, iframe, svg, form, input, style, math')).toBeNull();
  for (const element of root.querySelectorAll('*')) {
    for (const { name } of element.attributes) expect(name).not.toMatch(/^(on|style|src)/);
    const href = element.getAttribute('href');
    if (href !== null) expect(href).toMatch(/^(https?:|mailto:)/);
  }
});

test('links open elsewhere and tell nothing', () => {
  const link = dom('[a](https://example.org/?a=1&b=2) and https://example.com').querySelectorAll('a');
  expect([...link].map((a) => a.getAttribute('href'))).toEqual([
    'https://example.org/?a=1&b=2',
    'https://example.com',
  ]);
  expect(link[0]!.rel).toBe('noopener noreferrer nofollow');
  expect(link[0]!.target).toBe('_blank');
});

test('a picture becomes a link with its text', () => {
  const link = dom('![a chart](https://example.org/c.png)').querySelector('a');
  expect(link?.textContent).toBe('a chart');
  expect(link?.getAttribute('href')).toBe('https://example.org/c.png');
});

test('raw HTML is shown as text', () => {
  expect(dom('<b>bold</b> & <i>so on').textContent?.trim()).toBe('<b>bold</b> & <i>so on');
});

test('a code block keeps its language and its text', () => {
  const code = dom('```rust\nlet a = "<b>";\n```').querySelector('pre > code');
  expect(code?.className).toBe('language-rust');
  expect(code?.textContent).toBe('let a = "<b>";\n');
});

test('lists, tables and tasks are rendered', () => {
  const root = dom('1. one\n   - [x] done\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n');
  expect(root.querySelector('ol li ul li')?.textContent).toContain('☑ done');
  expect(root.querySelectorAll('td')).toHaveLength(2);
});

test('a growing text renders only its last block anew', () => {
  const before = renderBlocks('one\n\ntwo');
  const after = renderBlocks('one\n\ntwo and more', before);
  expect(after[0]).toBe(before[0]);
  expect(after[1]).not.toBe(before[1]);
  const last = renderBlocks('one\n\ntwo and more\n\n```js\nlet', after);
  expect(last.map((block) => block === after[last.indexOf(block)])).toEqual([true, true, false]);
});

test('a huge text is shown as it is', () => {
  expect(html('*'.repeat(200_001))).toContain('<pre>***');
});
