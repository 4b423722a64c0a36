/**
 * The texts of replies that are being written, joined from their numbered pieces.
 *
 * A piece that is known is dropped, one from further ahead is a hole that the caller repairs by
 * subscribing again, and a higher turn replaces the text of the lower one.
 */

import type { Delta, StreamingReply } from './types.js';

/** What a piece did: `hole` means that one before it is missing. */
export type DeltaOutcome = 'applied' | 'ignored' | 'hole';

export interface StreamText {
  turn: number;
  chunk: number;
  text: string;
}

/** More replies than this at once let the oldest go; its end carries the whole text anyway. */
const MAX_REPLIES = 256;

export class Replies {
  readonly #texts = new Map<string, StreamText>();

  get(message: string): StreamText | undefined {
    return this.#texts.get(message);
  }

  /** Appends a piece. */
  apply(delta: Delta): DeltaOutcome {
    const known = this.#texts.get(delta.message) ?? { turn: 0, chunk: 0, text: '' };
    if (delta.turn < known.turn) return 'ignored';
    const sameTurn = delta.turn === known.turn;
    const last = sameTurn ? known.chunk : 0;
    if (delta.chunk <= last) return 'ignored';
    if (delta.chunk > last + 1) return 'hole';
    const text = (sameTurn ? known.text : '') + delta.text;
    this.#set(delta.message, { turn: delta.turn, chunk: delta.chunk, text });
    return 'applied';
  }

  /** Takes over a text so far that came with `subscribed`; tells whether it says anything new. */
  take({ message, turn, chunk, text }: StreamingReply): boolean {
    const known = this.#texts.get(message);
    if (known && (turn < known.turn || (turn === known.turn && chunk < known.chunk))) return false;
    this.#set(message, { turn, chunk, text });
    return true;
  }

  drop(message: string): void {
    this.#texts.delete(message);
  }

  clear(): void {
    this.#texts.clear();
  }

  #set(message: string, text: StreamText): void {
    this.#texts.set(message, text);
    if (this.#texts.size <= MAX_REPLIES) return;
    const oldest = this.#texts.keys().next().value;
    if (oldest !== undefined) this.#texts.delete(oldest);
  }
}
