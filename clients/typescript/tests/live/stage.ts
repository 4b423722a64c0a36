/**
 * What the live tests stand on: a server that `tests/tests/journeys/typescript.rs` has started, and
 * clients that end with their test.
 */

import WebSocket from 'ws';
import { afterEach } from 'vitest';

import { Parlor, type Message, type ParlorOptions, type ParlorRoom } from '../../src/index.js';

export const URL = needed('PARLOR_TEST_URL');
export const PASSWORD = needed('PARLOR_TEST_PASSWORD');
/** How many messages are written at least while something breaks. */
export const MESSAGES = Number(needed('PARLOR_TEST_MESSAGES'));

const open: Parlor[] = [];
let count = 0;

afterEach(() => {
  for (const parlor of open.splice(0)) parlor.close();
});

function needed(name: string): string {
  const value = process.env[name];
  if (!value)
    throw new Error(`${name} is not set; \`cargo test -p parlor-tests typescript\` sets it`);
  return value;
}

export function client(options: ParlorOptions = {}): Parlor {
  // Networks here are away for moments only.
  const backoff = { baseMs: 50, capMs: 500 };
  const parlor = new Parlor(URL, { WebSocket, backoff, ...options });
  open.push(parlor);
  return parlor;
}

/** Returns a client of somebody who has an account already. */
export async function login(name: string, options?: ParlorOptions): Promise<Parlor> {
  const parlor = client(options);
  await untilAnswered(() => parlor.login(name, PASSWORD));
  return parlor;
}

/** Returns a client of somebody new. */
export async function register(name: string, options?: ParlorOptions): Promise<Parlor> {
  const parlor = client(options);
  await parlor.register(unique(name), PASSWORD);
  return parlor;
}

/** Returns a name that nobody else has. */
export function unique(name: string): string {
  count += 1;
  return `${name}-${Date.now().toString(36)}${count}`;
}

/** Repeats a call over HTTP until it is answered: one that the network cuts is the caller's. */
export async function untilAnswered<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error as { retryable?: boolean }).retryable) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Does something until it is stopped: signals come at most once, so one is no proof. */
export function repeat(what: () => Promise<void>): () => Promise<void> {
  let wanted = true;
  const running = (async () => {
    while (wanted) {
      await what();
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  })();
  return () => {
    wanted = false;
    return running;
  };
}

/** Returns when the room is followed, so that signals from now on arrive. */
export async function live(room: ParlorRoom): Promise<void> {
  while (room.phase !== 'live') await room.once('phase');
}

/** Returns the next `wanted` messages that have this beginning. */
export async function collect(
  room: ParlorRoom,
  prefix: string,
  wanted: number,
): Promise<Message[]> {
  const found: Message[] = [];
  for await (const message of room.messages({ own: true })) {
    if (message.body.startsWith(prefix)) found.push(message);
    if (found.length === wanted) break;
  }
  return found;
}

/** Returns the messages of `writer` up to the one with this text. */
export async function collectUntil(room: ParlorRoom, last: string): Promise<Message[]> {
  const found: Message[] = [];
  for await (const message of room.messages({ own: true })) {
    if (message.sender.username === 'writer') found.push(message);
    if (message.body === last) break;
  }
  return found;
}

/** Returns the texts of the numbered messages that a faults test writes. */
export function numbered(prefix: string, messages: number): string[] {
  return Array.from({ length: messages }, (_, n) => `${prefix} ${n + 1}`);
}
