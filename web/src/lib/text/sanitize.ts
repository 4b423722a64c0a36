/**
 * The one gate between text and HTML: a short list of tags and attributes passes, nothing else.
 *
 * Where the browser knows trusted types, the page's policy lets no other text become HTML than what
 * comes from here (and Svelte's own templates).
 */

import DOMPurify from 'dompurify';

const TAGS = [
  ...['p', 'br', 'hr', 'strong', 'em', 'del', 'code', 'pre', 'blockquote', 'a', 'span'],
  ...['ul', 'ol', 'li', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6'],
  ...['table', 'thead', 'tbody', 'tr', 'th', 'td'],
];
const ATTRIBUTES = ['href', 'title', 'class', 'start', 'align', 'target', 'rel', 'tabindex'];
/** The schemes that a link may have. */
export const LINK = /^(?:https?:|mailto:)/i;

const purifier = DOMPurify(window);
purifier.addHook('afterSanitizeAttributes', (node) => {
  if (node.tagName === 'A') {
    if (!LINK.test(node.getAttribute('href') ?? '')) node.removeAttribute('href');
    node.setAttribute('target', '_blank');
    node.setAttribute('rel', 'noopener noreferrer nofollow');
  }
  const name = node.getAttribute('class');
  if (name && !mayBeClass(node.tagName, name)) node.removeAttribute('class');
});

/** Classes name the language of a code block and, within it, what gets a color. */
function mayBeClass(tag: string, name: string): boolean {
  if (tag === 'CODE') return /^language-[\w+#.-]+$/.test(name);
  return tag === 'SPAN' && /^hljs-[\w -]+$/.test(name);
}

/** Returns safe HTML. Its type is that of a string; it is trusted HTML where that exists. */
export function sanitize(html: string): string {
  return purifier.sanitize(html, {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_TRUSTED_TYPE: true,
  }) as unknown as string;
}
