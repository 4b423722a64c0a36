/**
 * Turns the Markdown of a message into safe HTML.
 *
 * Everybody in a room, bots included, is untrusted: raw HTML is shown as text, nothing is loaded
 * from elsewhere (a picture becomes a link), and what is left passes a sanitizer with a short list
 * of allowed tags and attributes.
 */

import { Marked, type Token, type Tokens } from 'marked';

import { LINK, sanitize } from './sanitize';

/** Longer text than this is shown as it is: parsing it would block the page. */
const MAX_PARSED = 200_000;

const marked = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    html: ({ text, block }) => (block ? `<p>${escapeHtml(text)}</p>` : escapeHtml(text)),
    image: ({ href, text, title }) => link(href, escapeHtml(text || title || href)),
    link({ href, tokens }) {
      return link(href, this.parser.parseInline(tokens));
    },
    code({ text, lang }) {
      const language = /^[\w+#.-]{1,30}/.exec(lang ?? '')?.[0];
      const name = language ? ` class="language-${escapeHtml(language)}"` : '';
      return `<pre tabindex="0"><code${name}>${escapeHtml(text)}\n</code></pre>`;
    },
    checkbox: ({ checked }) => (checked ? '☑ ' : '☐ '),
  },
});

/** One block of a message: its source, which is its identity, and its HTML. */
export interface Block {
  raw: string;
  html: string;
}

/**
 * Renders `text` block by block. Blocks that `before` holds already are taken from there, so that a
 * growing text costs the rendering of its last block only.
 */
export function renderBlocks(text: string, before: readonly Block[] = []): Block[] {
  if (text.length > MAX_PARSED) return [{ raw: text, html: sanitize(`<pre>${escapeHtml(text)}</pre>`) }];
  const tokens = marked.lexer(text);
  const blocks: Block[] = [];
  for (const token of tokens) {
    if (token.type === 'space') continue;
    const known = before[blocks.length];
    blocks.push(known?.raw === token.raw ? known : { raw: token.raw, html: render(token, tokens) });
  }
  return blocks;
}

function render(token: Token, all: { links: Record<string, Pick<Tokens.Link, 'href' | 'title'>> }): string {
  const html = marked.parser(Object.assign([token], { links: all.links }));
  return sanitize(html);
}

function link(href: string, inner: string): string {
  return LINK.test(href) ? `<a href="${escapeHtml(href)}">${inner}</a>` : inner;
}

export function escapeHtml(text: string): string {
  return text
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/"/g, '&quot;')
    .replace(/'/g, '&#39;');
}
