/** The built page with the mock server behind it. */

import type { Browser, BrowserContextOptions } from 'playwright-core';

import { openBrowser, register, visit, type Visitor } from '../browser';
import { startMock } from '../mock/server.mjs';

export class Stage {
  private constructor(
    readonly browser: Browser,
    readonly mock: Awaited<ReturnType<typeof startMock>>,
  ) {}

  static async open(options: { everyMs?: number } = {}): Promise<Stage> {
    return new Stage(await openBrowser(), await startMock(options));
  }

  async close(): Promise<void> {
    await this.browser.close();
    await this.mock.stop();
  }

  visit(path = '/', options: BrowserContextOptions = {}): Promise<Visitor> {
    return visit(this.browser, this.mock.url, path, options);
  }

  /** Returns a visitor who has just registered and sees the connection open. */
  async register(username: string, options: BrowserContextOptions = {}): Promise<Visitor> {
    const visitor = await this.visit('/', options);
    await register(visitor, username);
    return visitor;
  }
}
