/**
 * Messages of mine that the room's log does not show yet.
 *
 * They are sent one after the other, so that they keep their order. One that had no answer is sent
 * again with the same `client_id` after the reconnect; the server gives the first answer again, so
 * this never doubles. A message leaves when its event arrives, or when its author gives it up.
 */

import { backoffMs } from './backoff.js';
import type { Answer } from './answers.js';
import { asParlorError, ParlorError } from './errors.js';
import type { Ports } from './ports.js';
import { TimerSet } from './timer-set.js';
import type { Command } from './types.js';

type Publish = Extract<Command, { op: 'publish' }>;

const MAX_TRIES = 6;
/** More than this waiting at once is refused, so that a long outage cannot grow without a bound. */
export const MAX_WAITING = 100;

export type PublishState = 'waiting' | 'sending' | 'sent' | 'failed';

/** What a message may have besides its text. */
export type PublishFields = Omit<Publish, 'op' | 'id' | 'room' | 'client_id' | 'body'>;

export interface OutgoingMessage {
  readonly clientId: string;
  readonly body: string;
  readonly replyTo: string | null;
  readonly fields: PublishFields;
  readonly createdAt: number;
  readonly state: PublishState;
  readonly error: ParlorError | null;
}

export type SendCommand = (command: Command) => Promise<Answer>;

export interface OutboxLimits {
  /** How many messages may wait. */
  maxWaiting?: number;
  /** How often the server may answer "later" before a message has failed. */
  maxTries?: number;
}

/** Called once about each message: with the server's answer, or with why it was not written. */
export type Verdict = (answer: Answer | null, error: ParlorError | null) => void;

export class Outbox {
  #messages: OutgoingMessage[] = [];
  readonly #tries = new Map<string, number>();
  readonly #verdicts = new Map<string, Verdict>();
  #live = false;
  #sending = false;
  readonly #timers: TimerSet<'again'>;

  constructor(
    private readonly room: string,
    private readonly ports: Ports,
    private readonly send: SendCommand,
    private readonly changed: () => void,
    private readonly limits: OutboxLimits = {},
  ) {
    this.#timers = new TimerSet(ports.timers);
  }

  messages(): readonly OutgoingMessage[] {
    return this.#messages;
  }

  /** Takes a message and returns its `client_id`; null when too many wait already. */
  publish(
    body: string,
    replyTo: string | null = null,
    fields: PublishFields = {},
    verdict?: Verdict,
  ): string | null {
    if (this.#messages.length >= (this.limits.maxWaiting ?? MAX_WAITING)) return null;
    const clientId = this.ports.uuid();
    const createdAt = this.ports.timers.now();
    const state = { state: 'waiting', error: null } as const;
    this.#messages = [...this.#messages, { clientId, body, replyTo, fields, createdAt, ...state }];
    if (verdict) this.#verdicts.set(clientId, verdict);
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

  /** Gives a failed or waiting message up. One that was sent already may be written all the same. */
  discard(clientId: string): void {
    const discarded = new ParlorError('discarded', 'the message was given up');
    this.#judge(clientId, null, discarded);
    this.#remove((message) => message.clientId === clientId);
  }

  /** Gives everything up. */
  abandon(error: ParlorError): void {
    this.disconnected();
    for (const { clientId } of this.#messages) this.#judge(clientId, null, error);
    this.#remove(() => true);
  }

  /** The log shows the message. */
  settle(clientId: string, answer: Answer = { op: 'ok' }): void {
    this.#judge(clientId, answer, null);
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

  async #deliver({ clientId, body, replyTo, fields }: OutgoingMessage): Promise<void> {
    const tries = (this.#tries.get(clientId) ?? 0) + 1;
    this.#tries.set(clientId, tries);
    try {
      const command = { op: 'publish', room: this.room, client_id: clientId, body } as const;
      const answer = await this.send({ ...command, reply_to: replyTo, ...fields });
      this.#judge(clientId, answer, null);
      this.#set(clientId, { state: 'sent' });
    } catch (thrown) {
      const error = asParlorError(thrown);
      if (error.code === 'closed') {
        // Nobody's fault; it does not count as a try.
        this.#tries.set(clientId, tries - 1);
        this.#set(clientId, { state: 'waiting' });
        this.#live = false;
      } else if (error.retryable && tries < (this.limits.maxTries ?? MAX_TRIES)) {
        this.#set(clientId, { state: 'waiting' });
        const wait = Math.max(error.retryAfterMs ?? 0, backoffMs(tries - 1, this.ports));
        this.#timers.set('again', wait, () => this.#pump());
      } else {
        this.#judge(clientId, null, error);
        this.#set(clientId, { state: 'failed', error });
      }
    }
  }

  #judge(clientId: string, answer: Answer | null, error: ParlorError | null): void {
    const verdict = this.#verdicts.get(clientId);
    this.#verdicts.delete(clientId);
    verdict?.(answer, error);
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
