/**
 * Turns the Markdown of a message into safe HTML.
 *
 * Everybody in a room, bots included, is untrusted: raw HTML is shown as text, nothing is loaded
 * from elsewhere (a picture becomes a link), and what is left passes a sanitizer with a short list
 * of allowed tags and attributes.
 */

import DOMPurify from 'dompurify';
import { Marked, type Token, type Tokens } from 'marked';

const TAGS = [
  ...['p', 'br', 'hr', 'strong', 'em', 'del', 'code', 'pre', 'blockquote', 'a', 'span'],
  ...['ul', 'ol', 'li', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6'],
  ...['table', 'thead', 'tbody', 'tr', 'th', 'td'],
];
const ATTRIBUTES = ['href', 'title', 'class', 'start', 'align', 'target', 'rel', 'tabindex'];
const LINK = /^(?:https?:|mailto:)/i;
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

const purifier = DOMPurify(window);
purifier.addHook('afterSanitizeAttributes', (node) => {
  if (node.tagName === 'A') {
    if (!LINK.test(node.getAttribute('href') ?? '')) node.removeAttribute('href');
    node.setAttribute('target', '_blank');
    node.setAttribute('rel', 'noopener noreferrer nofollow');
  }
  const name = node.getAttribute('class');
  if (name && !(node.tagName === 'CODE' && /^language-[\w+#.-]+$/.test(name))) {
    node.removeAttribute('class');
  }
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
  if (text.length > MAX_PARSED) return [{ raw: text, html: `<pre>${escapeHtml(text)}</pre>` }];
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
  return purifier.sanitize(html, {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
  });
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
