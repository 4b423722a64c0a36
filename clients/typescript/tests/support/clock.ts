/** A clock that moves only when a test says so, and lets promises settle between timers. */

import type { TimerId, Timers } from '../../src/ports.js';

interface Alarm {
  at: number;
  run: () => void;
}

export class ManualClock implements Timers {
  #now = 1_000_000;
  #nextId = 1;
  readonly #alarms = new Map<number, Alarm>();

  now(): number {
    return this.#now;
  }

  setTimeout(run: () => void, ms: number): TimerId {
    const id = this.#nextId++;
    this.#alarms.set(id, { at: this.#now + ms, run });
    return id;
  }

  clearTimeout(id: TimerId): void {
    this.#alarms.delete(id as number);
  }

  /** Moves on by `ms`, running what falls due on the way, in order. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (;;) {
      const due = [...this.#alarms].filter(([, alarm]) => alarm.at <= end);
      const next = due.sort((a, b) => a[1].at - b[1].at || a[0] - b[0])[0];
      if (!next) break;
      this.#alarms.delete(next[0]);
      this.#now = Math.max(this.#now, next[1].at);
      next[1].run();
      await settle();
    }
    this.#now = end;
  }
}

/** Lets every promise that can go on do so. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 40; turn += 1) await Promise.resolve();
}
