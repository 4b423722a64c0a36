/**
 * Locks in the shared storage, for browsers without Web Locks.
 *
 * A holder writes its name and a deadline, waits long enough for a competitor's write to be seen,
 * and reads again: the last writer wins. A holder that vanished is overtaken after the deadline.
 * Two holders at once stay possible when a tab is stalled for longer than `SETTLE_MS`, so a caller
 * must survive that (the token vault does: it adopts what the other tab stored).
 */

import type { KeyValueStore, Locks, Timers } from './ports.js';

const LEASE_MS = 15_000;
const SETTLE_MS = 60;
const POLL_MS = 120;

interface Lease {
  owner: string;
  until: number;
}

export class StorageLocks implements Locks {
  constructor(
    private readonly storage: KeyValueStore,
    private readonly timers: Timers,
    private readonly uuid: () => string,
  ) {}

  async run<T>(name: string, body: () => Promise<T>): Promise<T> {
    const key = `${name}.lock`;
    const owner = this.uuid();
    while (!(await this.#take(key, owner))) await this.#sleep(POLL_MS);
    try {
      return await body();
    } finally {
      if (this.#read(key)?.owner === owner) this.storage.removeItem(key);
    }
  }

  async #take(key: string, owner: string): Promise<boolean> {
    const held = this.#read(key);
    if (held && held.until > this.timers.now()) return false;
    this.storage.setItem(key, JSON.stringify({ owner, until: this.timers.now() + LEASE_MS }));
    await this.#sleep(SETTLE_MS);
    return this.#read(key)?.owner === owner;
  }

  #read(key: string): Lease | null {
    try {
      return JSON.parse(this.storage.getItem(key) ?? 'null') as Lease | null;
    } catch {
      return null;
    }
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.timers.setTimeout(resolve, ms);
    });
  }
}
