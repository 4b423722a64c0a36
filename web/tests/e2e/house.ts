/** A running server and the people who are there. */

import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { expect } from 'vitest';

import { openBrowser, PASSWORD, register, visit, type Visitor } from '../browser';
import { Server } from './server';

/** What a browser itself says when a server is not there; it is not the page's doing. */
const OUTAGE = /net::ERR_|WebSocket connection to '[^']+' failed/;
/** What it says when a server refuses something. */
const REFUSAL = /the server responded with a status of 4\d\d/;

export class House {
  readonly #visitors: Visitor[] = [];
  readonly #tokens = new Map<string, string>();

  private constructor(
    readonly browser: Browser,
    readonly url: string,
    /** None when the server is somebody else's. */
    private readonly own: Server | null,
  ) {}

  /** Takes the server at `PARLOR_URL` if there is one, else starts one. */
  static async open(): Promise<House> {
    const url = process.env['PARLOR_URL']?.replace(/\/$/, '');
    return url ? new House(await openBrowser(), url, null) : House.own();
  }

  /** Opens the browser, then starts a server. */
  static async own(start: () => Promise<Server> = Server.start): Promise<House> {
    const browser = await openBrowser();
    const server = await start();
    return new House(browser, server.url, server);
  }

  get server(): Server {
    if (!this.own) throw new Error('the server at PARLOR_URL is not for stopping');
    return this.own;
  }

  async close(): Promise<void> {
    await this.browser.close();
    await this.own?.close();
  }

  async visit(path = '/', options: BrowserContextOptions = {}): Promise<Visitor> {
    const visitor = await visit(this.browser, this.url, path, options);
    this.#visitors.push(visitor);
    return visitor;
  }

  /** Returns someone new in the room `general`, under a name that nobody else has. */
  async welcome(name: string, options: BrowserContextOptions = {}): Promise<Visitor> {
    const visitor = await this.visit('/', options);
    await register(visitor, unique(name));
    return visitor;
  }

  /** Ends all visits and asserts that no page complained or asked another host. */
  async leave({ outage = false, refusal = false } = {}): Promise<void> {
    const visitors = this.#visitors.splice(0);
    for (const { page } of visitors) await page.context().close();
    const expected = (text: string) =>
      (outage && OUTAGE.test(text)) || (refusal && REFUSAL.test(text));
    const complaints = visitors.flatMap((visitor) => visitor.complaints);
    expect(complaints.filter((text) => !expected(text))).toEqual([]);
    expect(visitors.flatMap((visitor) => visitor.outside)).toEqual([]);
  }

  /** Makes an HTTP call as `visitor` and returns the answer's JSON. */
  async call<T>(visitor: Visitor, method: string, path: string, body?: unknown): Promise<T> {
    let token = this.#tokens.get(visitor.name);
    if (!token) {
      const login = { username: visitor.name, password: PASSWORD };
      token = (await this.#json<{ access_token: string }>('POST', '/v1/auth/token', login)).access_token;
      this.#tokens.set(visitor.name, token);
    }
    return this.#json<T>(method, path, body, token);
  }

  async #json<T>(method: string, path: string, body?: unknown, token?: string): Promise<T> {
    const answer = await fetch(this.url + path, {
      method,
      headers: {
        'content-type': 'application/json',
        ...(token ? { authorization: `Bearer ${token}` } : {}),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json() as Promise<T>;
  }
}

let count = 0;

/** Returns a name or a text that is not there yet, however often the tests ran on this server. */
export function unique(name: string): string {
  count += 1;
  return `${name}-${Date.now().toString(36)}${count}`;
}

/** Returns the message with this text. */
export function message(page: Page, text: string): Locator {
  return page.locator('[data-testid=message]').filter({ hasText: text });
}

/** Returns the bot's reply to what `asker` wrote, as `page` shows it, once there is one. */
export async function replyTo(page: Page, asker: Visitor, text: string): Promise<Locator> {
  const asked = page.locator(`[data-testid=message][data-sender="${asker.name}"]`);
  const id = await asked.filter({ hasText: text }).first().getAttribute('data-id');
  const reply = page.locator(`[data-testid=message][data-trigger="${id}"]`);
  await reply.waitFor();
  return reply;
}

/** Returns the text that a message shows. */
export async function bodyOf(message: Locator): Promise<string> {
  return (await message.getByTestId('message-body').innerText()).trim();
}

/** Waits until a reply has ended and returns how. */
export async function ending(reply: Locator): Promise<string> {
  const ended = reply.and(reply.page().locator(':not([data-status=streaming])'));
  await ended.waitFor();
  return (await ended.getAttribute('data-status')) ?? '';
}

/** Returns the numbers and texts of the messages that the page shows, in their order. */
export function shown(page: Page): Promise<string[]> {
  return page.locator('[data-testid=message]').evaluateAll((items) =>
    items.map((item) => {
      const body = item.querySelector('[data-testid=message-body]');
      return `${item.getAttribute('data-seq')}: ${body?.textContent?.trim()}`;
    }),
  );
}

/** Keeps a picture of the page in the folder `PARLOR_SHOTS`, if there is one. */
export async function picture(page: Page, name: string): Promise<void> {
  const folder = process.env['PARLOR_SHOTS'];
  if (folder) await page.screenshot({ path: `${folder}/${name}.png` });
}
