/** Commands that wait for their answer. Each ends exactly once: answered, timed out or abandoned. */

import { ParlorError } from './errors.js';
import type { TimerId, Timers } from './ports.js';
import type { ErrorFrame, ServerFrame } from './types.js';

const TIMEOUT_MS = 15_000;
/** A server that is this far behind is not asked more. */
const MAX_WAITING = 1_000;

/** An answer to a command: `ok` and `subscribed` resolve, `error` rejects. */
export type Answer = Extract<ServerFrame, { op: 'ok' | 'subscribed' }>;

interface Waiting {
  resolve: (answer: Answer) => void;
  reject: (error: ParlorError) => void;
  timer: TimerId;
}

export class Answers {
  readonly #waiting = new Map<string, Waiting>();

  constructor(private readonly timers: Timers) {}

  expect(id: string): Promise<Answer> {
    if (this.#waiting.size >= MAX_WAITING) {
      return Promise.reject(new ParlorError('unavailable', 'too many commands wait for an answer'));
    }
    return new Promise((resolve, reject) => {
      const timer = this.timers.setTimeout(() => {
        this.#waiting.delete(id);
        reject(new ParlorError('timeout', 'the server did not answer in time'));
      }, TIMEOUT_MS);
      this.#waiting.set(id, { resolve, reject, timer });
    });
  }

  /** Ends the wait that `frame` answers, if there is one. */
  settle(frame: ServerFrame): void {
    if (!('re' in frame) || !frame.re) return;
    const waiting = this.#waiting.get(frame.re);
    if (!waiting) return;
    this.#waiting.delete(frame.re);
    this.timers.clearTimeout(waiting.timer);
    if (frame.op === 'error') waiting.reject(errorFromFrame(frame));
    else waiting.resolve(frame);
  }

  abandon(): void {
    const all = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject, timer } of all) {
      this.timers.clearTimeout(timer);
      reject(new ParlorError('closed', 'the connection ended before the answer'));
    }
  }
}

/** Returns the error that an `error` frame describes. */
export function errorFromFrame(frame: ErrorFrame): ParlorError {
  const wait = frame.retry_after_ms;
  return new ParlorError(frame.code, frame.detail, wait ? { retryAfterMs: wait } : {});
}
