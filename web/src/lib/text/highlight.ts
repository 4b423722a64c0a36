/** Colors for code. Loaded only when a message holds code in a language that it knows. */

import hljs from 'highlight.js/lib/core';
import bash from 'highlight.js/lib/languages/bash';
import css from 'highlight.js/lib/languages/css';
import javascript from 'highlight.js/lib/languages/javascript';
import json from 'highlight.js/lib/languages/json';
import python from 'highlight.js/lib/languages/python';
import rust from 'highlight.js/lib/languages/rust';
import sql from 'highlight.js/lib/languages/sql';
import typescript from 'highlight.js/lib/languages/typescript';
import xml from 'highlight.js/lib/languages/xml';
import yaml from 'highlight.js/lib/languages/yaml';

import { sanitize } from './sanitize';

const LANGUAGES = { bash, css, javascript, json, python, rust, sql, typescript, xml, yaml };
for (const [name, language] of Object.entries(LANGUAGES)) hljs.registerLanguage(name, language);

/** Colors one code element in place; leaves unknown languages alone. */
export function highlightCode(code: HTMLElement, language: string): void {
  if (!hljs.getLanguage(language)) return;
  // The library escapes what it is given and adds nothing but spans with classes.
  const text = code.textContent ?? '';
  code.innerHTML = sanitize(hljs.highlight(text, { language, ignoreIllegals: true }).value);
  code.dataset['highlighted'] = 'yes';
}
