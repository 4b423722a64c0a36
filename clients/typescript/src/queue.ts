/**
 * A bounded queue between what arrives and a `for await` loop.
 *
 * It never drops: when it is full it says so, and once the loop has taken half of it, it says that
 * there is room again. Whoever fills it stops in between.
 */

import type { Unsubscribe } from './notifier.js';

export interface QueueOptions {
  /** How many items may wait. */
  capacity: number;
  /** The queue became full, or half of it is free again. */
  onFull: (full: boolean) => void;
  /** Ends the loop with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Called once when nobody reads any more. */
  onEnd: () => void;
}

interface Reader<T> {
  resolve: (result: IteratorResult<T, undefined>) => void;
  reject: (error: unknown) => void;
}

export class Queue<T> implements AsyncIterableIterator<T, undefined> {
  #items: T[] = [];
  #readers: Reader<T>[] = [];
  #full = false;
  #ended = false;
  #error: unknown = null;
  readonly #stopListening: Unsubscribe;

  constructor(private readonly options: QueueOptions) {
    const { signal } = options;
    const abort = () => this.end(signal?.reason, true);
    if (signal?.aborted) {
      this.#ended = true;
      this.#error = signal.reason;
    }
    signal?.addEventListener('abort', abort, { once: true });
    this.#stopListening = () => signal?.removeEventListener('abort', abort);
  }

  get isFull(): boolean {
    return this.#full;
  }

  get hasEnded(): boolean {
    return this.#ended;
  }

  push(item: T): void {
    if (this.#ended) return;
    const reader = this.#readers.shift();
    if (reader) {
      reader.resolve({ done: false, value: item });
      return;
    }
    this.#items.push(item);
    if (this.#items.length >= this.options.capacity) this.#setFull(true);
  }

  /** Ends the loop after what waits, or at once when `now`; with an error if there is one. */
  end(error: unknown = null, now = false): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    if (now) this.#items = [];
    this.#stopListening();
    for (const reader of this.#readers.splice(0)) this.#finish(reader);
    this.#full = false;
    this.options.onEnd();
  }

  next(): Promise<IteratorResult<T, undefined>> {
    return new Promise((resolve, reject) => {
      if (this.#items.length > 0) {
        resolve({ done: false, value: this.#items.shift() as T });
        if (this.#items.length <= this.options.capacity / 2) this.#setFull(false);
      } else if (this.#ended) {
        this.#finish({ resolve, reject });
      } else {
        this.#readers.push({ resolve, reject });
      }
    });
  }

  /** Called by a loop that is left. */
  return(): Promise<IteratorResult<T, undefined>> {
    this.end(null, true);
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #finish({ resolve, reject }: Reader<T>): void {
    const error = this.#error;
    this.#error = null;
    if (error === null) resolve({ done: true, value: undefined });
    else reject(error);
  }

  #setFull(full: boolean): void {
    if (this.#full === full || this.#ended) return;
    this.#full = full;
    this.options.onFull(full);
  }
}
