/**
 * Chromium, and people in it. Each has a context of their own; what their page complains about and
 * which addresses it asks for are kept.
 */

import { existsSync } from 'node:fs';

import { chromium, type Browser, type BrowserContextOptions, type Locator, type Page } from 'playwright-core';

const ARGS = [
  '--no-sandbox',
  '--disable-dev-shm-usage',
  '--headless',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
export const PASSWORD = 'correct horse battery';

export interface Visitor {
  name: string;
  page: Page;
  /** Errors of the page, including violations of its security policy. */
  complaints: string[];
  /** Requests to any other host than the server. */
  outside: string[];
}

/** Starts the browser that `PARLOR_CHROMIUM` or `CHROMIUM` names, else Debian's. */
export async function openBrowser(): Promise<Browser> {
  const { PARLOR_CHROMIUM, CHROMIUM } = process.env;
  const executablePath = PARLOR_CHROMIUM || CHROMIUM || '/usr/bin/chromium';
  if (!existsSync(executablePath)) {
    throw new Error(`there is no browser at ${executablePath}; set CHROMIUM`);
  }
  return chromium.launch({ executablePath, args: ARGS });
}

/** Opens a page of the server at `base` as somebody who was never there. */
export async function visit(
  browser: Browser,
  base: string,
  path = '/',
  options: BrowserContextOptions = {},
): Promise<Visitor> {
  const context = await browser.newContext({ locale: 'en-GB', ...options });
  const page = await context.newPage();
  const visitor: Visitor = { name: '', page, complaints: [], outside: [] };
  page.on('pageerror', (error) => visitor.complaints.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') visitor.complaints.push(message.text());
  });
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(base) && !/^(blob|data):/.test(url)) visitor.outside.push(url);
  });
  await page.goto(base + path);
  return visitor;
}

/** Makes an account for someone whose page shows the login form. */
export async function register(visitor: Visitor, name: string): Promise<void> {
  visitor.name = name;
  await visitor.page.getByTestId('switch-mode').click();
  await fill(visitor.page, name, PASSWORD);
  await connected(visitor.page);
}

export async function fill(page: Page, username: string, password: string): Promise<void> {
  await page.getByTestId('username').fill(username);
  await page.getByTestId('password').fill(password);
  await page.getByTestId('submit').click();
}

export async function connected(page: Page, timeout?: number): Promise<void> {
  await status(page, '[data-state=open]').waitFor({ state: 'attached', timeout });
}

export async function disconnected(page: Page): Promise<void> {
  await status(page, ':not([data-state=open])').waitFor();
}

export async function say(page: Page, text: string): Promise<void> {
  await page.getByTestId('composer').fill(text);
  await page.getByTestId('composer').press('Enter');
}

function status(page: Page, which: string): Locator {
  return page.locator(`[data-testid=connection-status]${which}`);
}
