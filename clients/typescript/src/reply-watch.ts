/** Replies of bots from their first piece to their end, as messages and as texts so far. */

import { Replies } from './replies.js';
import type { Delta, EventFrame, Message, StreamingReply } from './types.js';

/** Replies that are remembered after their end, so that a late piece is known as late. */
const MAX_ENDED = 256;
const MAX_STREAMING = 256;

/** A reply that is being written. */
export interface ReplyProgress {
  message: string;
  /** Grows when the reply is begun anew; the text of the older turn is void. */
  turn: number;
  /** The text so far. */
  text: string;
  /** What this piece added. */
  added: string;
}

export class ReplyWatch {
  readonly #texts = new Replies();
  readonly #streaming = new Map<string, Message>();
  readonly #ended = new Set<string>();

  /** Takes the texts so far of a new subscription; tells whether it knows nothing else of some. */
  begin(streaming: readonly StreamingReply[]): boolean {
    for (const reply of streaming) this.#texts.take(reply);
    return streaming.some((reply) => !this.#streaming.has(reply.message));
  }

  text(message: string): string | undefined {
    return this.#texts.get(message)?.text;
  }

  /** Takes a message of the log or the history; tells whether it is complete. */
  created(message: Message): boolean {
    if (message.status !== 'streaming') return true;
    if (this.#ended.has(message.id)) return false;
    this.#streaming.set(message.id, message);
    forgetOldest(this.#streaming, MAX_STREAMING);
    return false;
  }

  /** Takes an event and returns the message that it completes. */
  event(event: EventFrame): Message | null {
    switch (event.type) {
      case 'message.created':
        return this.created(event.data) ? event.data : null;
      case 'message.completed': {
        const { message: id, ...end } = event.data;
        const begun = this.#streaming.get(id);
        this.#end(id);
        return begun ? { ...begun, ...end } : null;
      }
      case 'message.redacted':
        this.#end(event.data.message);
        return null;
      case 'history.reset':
        for (const id of this.#streaming.keys()) this.#end(id);
        return null;
      default:
        return null;
    }
  }

  /** Takes a piece; `hole` means that one before it is missing. */
  delta(delta: Delta): ReplyProgress | 'hole' | null {
    if (this.#ended.has(delta.message)) return null;
    const outcome = this.#texts.apply(delta);
    if (outcome !== 'applied') return outcome === 'hole' ? 'hole' : null;
    const { message, turn, text: added } = delta;
    return { message, turn, text: this.text(message) ?? added, added };
  }

  #end(id: string): void {
    this.#streaming.delete(id);
    this.#texts.drop(id);
    this.#ended.add(id);
    forgetOldest(this.#ended, MAX_ENDED);
  }
}

function forgetOldest(all: Map<string, unknown> | Set<string>, max: number): void {
  if (all.size <= max) return;
  const oldest = all.keys().next().value;
  if (oldest !== undefined) all.delete(oldest);
}
