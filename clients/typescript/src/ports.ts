/**
 * Everything that the client library takes from its surroundings: network, clock, storage, chance.
 *
 * Passed in, so that the library runs in a browser, in Node and under a test's manual clock.
 */

import type { Backoff } from './backoff.js';
import { ParlorError } from './errors.js';
import { StorageLocks } from './storage-locks.js';

/** What the platform names a timer by: a number in browsers, an object in Node. */
export type TimerId = unknown;

export interface Timers {
  now(): number;
  setTimeout(run: () => void, ms: number): TimerId;
  clearTimeout(id: TimerId): void;
}

/** The part of the browser's WebSocket that is used. */
export interface SocketLike {
  onopen: (() => void) | null;
  onerror: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  send(text: string): void;
  close(code?: number, reason?: string): void;
}

export interface KeyValueStore {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/** Mutual exclusion among all that share the storage (tabs of one browser). */
export interface Locks {
  run<T>(name: string, body: () => Promise<T>): Promise<T>;
}

export interface Ports {
  fetch: (url: string, init: RequestInit) => Promise<Response>;
  openSocket: (url: string, protocol: string) => SocketLike;
  timers: Timers;
  storage: KeyValueStore;
  /** Calls back when another tab changed the storage. */
  onStorage: (listener: (key: string | null) => void) => void;
  locks: Locks;
  /** Returns a number in [0, 1). */
  random: () => number;
  backoff?: Backoff;
  uuid: () => string;
}

/** A WebSocket class: the browser's, Node's from version 22 on, or that of the package `ws`. */
export type SocketClass = new (url: string, protocols: string[]) => object;

export interface PlatformOptions {
  /** Where there is no global one, as in Node 20. */
  WebSocket?: SocketClass;
  fetch?: Ports['fetch'];
  backoff?: Backoff;
  /** Where the login is kept; in memory when absent. */
  storage?: KeyValueStore;
}

/** Returns the ports of Node, or of a page that shares its login with no other. */
export function platformPorts(options: PlatformOptions = {}): Ports {
  const Socket = options.WebSocket ?? (globalThis.WebSocket as SocketClass | undefined);
  return {
    fetch: options.fetch ?? ((url, init) => fetch(url, init)),
    openSocket: (url, protocol) => {
      if (Socket) return new Socket(url, [protocol]) as SocketLike;
      throw new ParlorError('unsupported', 'there is no WebSocket here; pass one as an option');
    },
    timers: {
      now: () => Date.now(),
      setTimeout: (run, ms) => setTimeout(run, ms),
      clearTimeout: (id) => clearTimeout(id as ReturnType<typeof setTimeout>),
    },
    storage: options.storage ?? memoryStorage(),
    onStorage: () => undefined,
    // Nobody else has this storage, and within one client refreshes are shared anyway.
    locks: { run: (_name, body) => body() },
    random: () => Math.random(),
    uuid: () => randomUuid(crypto),
    ...(options.backoff && { backoff: options.backoff }),
  };
}

function memoryStorage(): KeyValueStore {
  const values = new Map<string, string>();
  return {
    getItem: (key) => values.get(key) ?? null,
    setItem: (key, value) => void values.set(key, value),
    removeItem: (key) => void values.delete(key),
  };
}

/** Returns a random UUID, also where `randomUUID` is missing (plain HTTP on another host). */
export function randomUuid(source: Crypto): string {
  if (typeof source.randomUUID === 'function') return source.randomUUID();
  const bytes = source.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return [8, 12, 16, 20].reduceRight((id, at) => `${id.slice(0, at)}-${id.slice(at)}`, hex);
}

/** Returns the ports of a browser window. */
export function browserPorts(): Ports {
  const timers: Timers = {
    now: () => Date.now(),
    setTimeout: (run, ms) => window.setTimeout(run, ms),
    clearTimeout: (id) => window.clearTimeout(id as number),
  };
  const uuid = () => randomUuid(crypto);
  return {
    fetch: (url, init) => fetch(url, init),
    openSocket: (url, protocol) => new WebSocket(url, [protocol]) as SocketLike,
    timers,
    storage: localStorage,
    onStorage: (listener) => window.addEventListener('storage', (event) => listener(event.key)),
    // Web Locks exist only in secure contexts; plain HTTP in a local network is not one.
    locks: navigator.locks
      ? { run: (name, body) => navigator.locks.request(name, body) as ReturnType<typeof body> }
      : new StorageLocks(localStorage, timers, uuid),
    random: () => Math.random(),
    uuid,
  };
}
