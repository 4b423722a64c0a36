/**
 * Messages of mine that the room's log does not show yet.
 *
 * They are sent one after the other, so that they keep their order. One that had no answer is sent
 * again with the same `client_id` after the reconnect; the server gives the first answer again, so
 * this never doubles. A message leaves when its event arrives, or when its author gives it up.
 */

import { backoffMs } from './backoff.js';
import type { Answer } from './answers.js';
import { asParlorError, type ParlorError } from './errors.js';
import type { Ports } from './ports.js';
import { TimerSet } from './timer-set.js';
import type { Command } from './types.js';

const MAX_TRIES = 6;
/** More than this waiting at once is refused, so that a long outage cannot grow without a bound. */
export const MAX_WAITING = 100;

export type PublishState = 'waiting' | 'sending' | 'sent' | 'failed';

export interface OutgoingMessage {
  readonly clientId: string;
  readonly body: string;
  readonly replyTo: string | null;
  readonly createdAt: number;
  readonly state: PublishState;
  readonly error: ParlorError | null;
}

export type SendCommand = (command: Command) => Promise<Answer>;

export class Outbox {
  #messages: OutgoingMessage[] = [];
  #tries = new Map<string, number>();
  #live = false;
  #sending = false;
  readonly #timers: TimerSet<'again'>;

  constructor(
    private readonly room: string,
    private readonly ports: Ports,
    private readonly send: SendCommand,
    private readonly changed: () => void,
  ) {
    this.#timers = new TimerSet(ports.timers);
  }

  messages(): readonly OutgoingMessage[] {
    return this.#messages;
  }

  /** Takes a message and returns its `client_id`; null when too many wait already. */
  publish(body: string, replyTo: string | null = null): string | null {
    if (this.#messages.length >= MAX_WAITING) return null;
    const clientId = this.ports.uuid();
    const createdAt = this.ports.timers.now();
    const message = { clientId, body, replyTo, createdAt, state: 'waiting', error: null } as const;
    this.#messages = [...this.#messages, message];
    this.changed();
    this.#pump();
    return clientId;
  }

  /** Sends a failed message again, as the same message. */
  retry(clientId: string): void {
    this.#tries.delete(clientId);
    this.#set(clientId, { state: 'waiting', error: null });
    this.#pump();
  }

  /** Gives a failed or waiting message up. */
  discard(clientId: string): void {
    this.#remove((message) => message.clientId === clientId);
  }

  /** The log shows the message. */
  settle(clientId: string): void {
    this.#remove((message) => message.clientId === clientId);
  }

  /** The history was read again, so everything acknowledged before is in it. */
  settleSent(): void {
    this.#remove((message) => message.state === 'sent');
  }

  /** The room is subscribed: what had no answer may be sent again. */
  connected(): void {
    this.#live = true;
    this.#pump();
  }

  disconnected(): void {
    this.#live = false;
    this.#timers.clear('again');
  }

  #pump(): void {
    if (!this.#live || this.#sending || this.#timers.has('again')) return;
    const next = this.#messages.find((message) => message.state === 'waiting');
    if (!next) return;
    this.#sending = true;
    this.#set(next.clientId, { state: 'sending' });
    void this.#deliver(next).finally(() => {
      this.#sending = false;
      this.#pump();
    });
  }

  async #deliver({ clientId, body, replyTo }: OutgoingMessage): Promise<void> {
    const tries = (this.#tries.get(clientId) ?? 0) + 1;
    this.#tries.set(clientId, tries);
    try {
      const command = { op: 'publish', room: this.room, client_id: clientId, body } as const;
      await this.send({ ...command, reply_to: replyTo });
      this.#set(clientId, { state: 'sent' });
    } catch (thrown) {
      const error = asParlorError(thrown);
      if (error.code === 'closed') {
        // Nobody's fault; it does not count as a try.
        this.#tries.set(clientId, tries - 1);
        this.#set(clientId, { state: 'waiting' });
        this.#live = false;
      } else if (error.retryable && tries < MAX_TRIES) {
        this.#set(clientId, { state: 'waiting' });
        const wait = Math.max(error.retryAfterMs ?? 0, backoffMs(tries - 1, this.ports.random));
        this.#timers.set('again', wait, () => this.#pump());
      } else {
        this.#set(clientId, { state: 'failed', error });
      }
    }
  }

  #set(clientId: string, change: Partial<OutgoingMessage>): void {
    this.#messages = this.#messages.map((message) =>
      message.clientId === clientId ? { ...message, ...change } : message,
    );
    this.changed();
  }

  #remove(gone: (message: OutgoingMessage) => boolean): void {
    const left = this.#messages.filter((message) => !gone(message));
    if (left.length === this.#messages.length) return;
    const kept = new Set(left.map((message) => message.clientId));
    for (const id of [...this.#tries.keys()]) if (!kept.has(id)) this.#tries.delete(id);
    this.#messages = left;
    this.changed();
  }
}
