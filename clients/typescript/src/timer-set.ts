/** Timers by name: setting one replaces the one of the same name, and all can be ended at once. */

import type { TimerId, Timers } from './ports.js';

export class TimerSet<Name extends string> {
  readonly #ids = new Map<Name, TimerId>();

  constructor(private readonly timers: Timers) {}

  set(name: Name, ms: number, run: () => void): void {
    this.clear(name);
    const id = this.timers.setTimeout(() => {
      this.#ids.delete(name);
      run();
    }, ms);
    this.#ids.set(name, id);
  }

  has(name: Name): boolean {
    return this.#ids.has(name);
  }

  clear(name: Name): void {
    const id = this.#ids.get(name);
    if (id === undefined) return;
    this.#ids.delete(name);
    this.timers.clearTimeout(id);
  }

  clearAll(): void {
    for (const name of [...this.#ids.keys()]) this.clear(name);
  }
}
