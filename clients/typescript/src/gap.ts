/**
 * What lies between a position that was lost and the present, read from the history.
 *
 * Events that come meanwhile wait, so that a reader gets the missed messages first. How many may
 * wait is bounded; beyond that the room is to be paused until the history is read.
 */

import { asParlorError } from './errors.js';
import type { Cursor, EventFrame, Message, Page, SignalFrame } from './types.js';

const PAGE = 200;
/** Messages that are read at most; a reader that missed more gets the newest. */
const MAX_MISSED = 1_000;
const MAX_WAITING = 1_000;

/** Tells a reader that its position was lost. */
export interface Resynced {
  op: 'resynced';
  /** `epoch_changed`, `too_far_behind`, `history_reset` or `ahead_of_log`. */
  reason: string;
  before: Cursor;
  /** Events after this position follow. */
  now: Cursor;
  /** Messages that were written meanwhile, as they are now, in ascending `seq`. */
  missed: Message[];
  /** Whether these are all. They are not when the log is another one, or there were too many. */
  complete: boolean;
}

export interface GapLink {
  history(query: { after?: number; before?: number; limit: number }): Promise<Page<Message>>;
  later(attempt: number, run: () => void): void;
  /** Returns when there is somebody to be told. */
  listened(): Promise<void>;
  event(event: EventFrame): void;
  signal(signal: SignalFrame): void;
  resync(resynced: Resynced): void;
  /** `isFull` has changed. */
  overflow(): void;
}

export class Gap {
  #from: Cursor | null = null;
  #waiting: (EventFrame | SignalFrame)[] = [];
  /** Grows with each reading; an older one that ends late is ignored. */
  #generation = 0;

  constructor(private readonly link: GapLink) {}

  /** Whether no more events should come until the history is read. */
  get isFull(): boolean {
    return this.#waiting.length >= MAX_WAITING;
  }

  /** Begins to read what lies between two positions. */
  open(before: Cursor, now: Cursor, reason: () => string): void {
    this.#from ??= before;
    this.#waiting = [];
    void this.#read(this.#from, now, reason, ++this.#generation, 0);
  }

  stop(): void {
    this.#generation += 1;
    this.#from = null;
    this.#waiting = [];
  }

  event(event: EventFrame): void {
    if (!this.#from) {
      this.link.event(event);
      return;
    }
    this.#waiting.push(event);
    if (this.isFull) this.link.overflow();
  }

  signal(signal: SignalFrame): void {
    if (!this.#from) this.link.signal(signal);
    else if (!this.isFull) this.#waiting.push(signal);
  }

  async #read(
    from: Cursor,
    now: Cursor,
    reason: () => string,
    generation: number,
    attempt: number,
  ): Promise<void> {
    let found: { missed: Message[]; complete: boolean };
    try {
      found = await this.#missed(from, now);
      await this.link.listened();
    } catch (error) {
      if (generation !== this.#generation) return;
      if (asParlorError(error).retryable) {
        this.link.later(attempt, () => {
          if (generation !== this.#generation) return;
          void this.#read(from, now, reason, generation, attempt + 1);
        });
        return;
      }
      found = { missed: [], complete: false };
    }
    if (generation !== this.#generation) return;
    const waiting = this.#waiting;
    this.#from = null;
    this.#waiting = [];
    this.link.resync({ op: 'resynced', reason: reason(), before: from, now, ...found });
    for (const frame of waiting) {
      if (frame.op === 'event') this.link.event(frame);
      else this.link.signal(frame);
    }
    this.link.overflow();
  }

  /** Returns the messages after `from` and up to `now`, the newest of them when there are many. */
  async #missed(from: Cursor, now: Cursor): Promise<{ missed: Message[]; complete: boolean }> {
    const sameLog = from.epoch === now.epoch && from.seq <= now.seq;
    const after = sameLog ? from.seq : 0;
    const missed: Message[] = [];
    let before = now.seq + 1;
    while (missed.length < MAX_MISSED) {
      const { items } = await this.link.history({ before, limit: sameLog ? PAGE : 50 });
      const wanted = items.filter((message) => message.seq > after);
      missed.unshift(...wanted);
      if (items.length === 0 || wanted.length < items.length) return { missed, complete: sameLog };
      if (!sameLog) return { missed, complete: false };
      before = items[0]?.seq ?? 0;
    }
    return { missed: missed.slice(-MAX_MISSED), complete: false };
  }
}
