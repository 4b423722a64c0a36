/** Starts Chromium and the mock, and keeps an eye on what a page complains about. */

import { existsSync } from 'node:fs';

import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';

import { startMock } from '../mock/server.mjs';

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
const PASSWORD = 'correct horse battery';

export type Mock = Awaited<ReturnType<typeof startMock>>;

export interface Visitor {
  page: Page;
  /** Errors of the page, including violations of its security policy. */
  complaints: string[];
}

export class Stage {
  private constructor(
    readonly browser: Browser,
    readonly mock: Mock,
  ) {}

  static async open(options: { everyMs?: number } = {}): Promise<Stage> {
    const executablePath = process.env['PARLOR_CHROMIUM'] ?? '/usr/bin/chromium';
    if (!existsSync(executablePath)) {
      throw new Error(`there is no browser at ${executablePath}; set PARLOR_CHROMIUM`);
    }
    const browser = await chromium.launch({ executablePath, args: ARGS });
    return new Stage(browser, await startMock(options));
  }

  async close(): Promise<void> {
    await this.browser.close();
    await this.mock.stop();
  }

  async visit(path = '/', options: BrowserContextOptions = {}): Promise<Visitor> {
    const context = await this.browser.newContext({ ...options, locale: 'en-GB' });
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    await page.goto(this.mock.url + path);
    return { page, complaints };
  }

  /** Returns a visitor who has just registered and sees the connection open. */
  async register(username: string, options: BrowserContextOptions = {}): Promise<Visitor> {
    const visitor = await this.visit('/', options);
    const { page } = visitor;
    await page.getByTestId('switch-mode').click();
    await fill(page, username, PASSWORD);
    await connected(page);
    return visitor;
  }
}

export async function fill(page: Page, username: string, password: string): Promise<void> {
  await page.getByTestId('username').fill(username);
  await page.getByTestId('password').fill(password);
  await page.getByTestId('submit').click();
}

export async function connected(page: Page): Promise<void> {
  await page.locator('[data-testid=connection-status][data-state=open]').waitFor({ state: 'attached' });
}

export async function say(page: Page, text: string): Promise<void> {
  await page.getByTestId('composer').fill(text);
  await page.getByTestId('composer').press('Enter');
}
