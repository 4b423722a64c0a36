/**
 * One room's subscription and its position in the log.
 *
 * Guarantees: every event is told once, in order, without a hole. The next one is told, a known one
 * is dropped, and one from further ahead makes it subscribe again from its position. When the server
 * cannot continue that position, it starts at the present and says so with `lost`.
 *
 * What is told is not kept here. A reader that cannot take more pauses the subscription; it goes on
 * from the same position.
 */

import type { Answer } from './answers.js';
import { backoffMs } from './backoff.js';
import { asParlorError, ParlorError } from './errors.js';
import { Notifier } from './notifier.js';
import type { Ports } from './ports.js';
import { TimerSet } from './timer-set.js';
import type {
  Command,
  Cursor,
  EventFrame,
  RoomFrame,
  SignalFrame,
  StreamingReply,
  SubscribedFrame,
} from './types.js';

/** A subscription does not repair itself more often than this. */
export const REPAIR_EVERY_MS = 1_000;
const GONE = new Set(['not_a_member', 'forbidden', 'not_found']);

export type SubscriptionPhase = 'offline' | 'subscribing' | 'live' | 'paused' | 'gone';

/** What a subscription needs of the client that owns it. */
export interface SubscriptionLink {
  ports: Ports;
  command(command: Command): { id: string; answer: Promise<Answer> };
}

/** How a subscription began. */
export interface Started {
  /** The position is not continued: what came before the present has to be read as history. */
  lost: boolean;
  /** The position before. */
  before: Cursor | null;
  /** Replies that are being written, with their texts so far. */
  streaming: readonly StreamingReply[];
}

export class Subscription {
  readonly onStarted = new Notifier<Started>();
  readonly onEvent = new Notifier<EventFrame>();
  readonly onSignal = new Notifier<SignalFrame>();
  readonly onPhase = new Notifier<SubscriptionPhase>();

  phase: SubscriptionPhase = 'offline';
  /** Why it is gone. */
  error: ParlorError | null = null;
  /** Why the position was lost the last time, as the server put it. */
  resyncReason = '';

  #cursor: Cursor | null;
  #connected = false;
  #paused = false;
  #awaited: { id: string; fresh: boolean } | null = null;
  /** The position that a refused resume was answered with; its `resync` says nothing new. */
  #restartedAt: number | null = null;
  #failures = 0;
  #repairedAt = -REPAIR_EVERY_MS;
  readonly #timers: TimerSet<'repair'>;

  constructor(
    readonly room: string,
    start: Cursor | null,
    private readonly link: SubscriptionLink,
  ) {
    this.#cursor = start;
    this.#timers = new TimerSet(link.ports.timers);
  }

  get cursor(): Cursor | null {
    return this.#cursor;
  }

  get isConnected(): boolean {
    return this.#connected;
  }

  /** The connection is open. */
  connected(): void {
    this.#connected = true;
    this.#failures = 0;
    this.subscribe();
  }

  /** The connection is gone. */
  disconnected(): void {
    this.#connected = false;
    this.#awaited = null;
    this.#timers.clearAll();
    if (this.phase !== 'gone' && !this.#paused) this.#setPhase('offline');
  }

  /** Membership has ended, so no further frame of this room can come. */
  leave(error = new ParlorError('not_a_member', 'you are no longer a member of this room')): void {
    this.error = error;
    this.#awaited = null;
    this.#timers.clearAll();
    this.#setPhase('gone');
  }

  /** Lets events wait at the server; the position stays. */
  pause(): void {
    if (this.#paused || this.phase === 'gone') return;
    this.#paused = true;
    this.#awaited = null;
    this.#timers.clearAll();
    this.#setPhase('paused');
    if (!this.#connected) return;
    this.link.command({ op: 'unsubscribe', room: this.room }).answer.catch(() => {
      // What still comes is dropped here.
    });
  }

  /** Goes on where it was paused. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.phase === 'gone') return;
    this.#setPhase('offline');
    this.subscribe();
  }

  /** Takes a frame of this room. */
  receive(frame: RoomFrame): void {
    if (this.#paused || this.phase === 'gone') return;
    switch (frame.op) {
      case 'subscribed':
        this.#subscribed(frame);
        break;
      case 'event':
        this.#event(frame);
        break;
      case 'signal':
        this.onSignal.emit(frame);
        break;
      case 'resync':
        this.resyncReason = frame.reason;
        if (this.#restartedAt !== frame.from) this.subscribe(true);
        this.#restartedAt = null;
        break;
    }
  }

  /** Subscribes from the position, or at the present when there is none or `fresh` asks for it. */
  subscribe(fresh = this.#cursor === null): void {
    if (!this.#connected || this.#paused || this.phase === 'gone') return;
    this.#timers.clear('repair');
    this.#setPhase('subscribing');
    const since = fresh ? null : this.#cursor;
    const { id, answer } = this.link.command(
      since ? { op: 'subscribe', room: this.room, since } : { op: 'subscribe', room: this.room },
    );
    this.#awaited = { id, fresh: since === null };
    answer.catch((error: unknown) => {
      if (this.#awaited?.id === id) this.#refused(asParlorError(error));
    });
  }

  /** Something is missing: subscribes again from the position, at once but not all the time. */
  repair(): void {
    if (this.#awaited || this.#timers.has('repair')) return;
    const since = this.link.ports.timers.now() - this.#repairedAt;
    const run = () => {
      this.#repairedAt = this.link.ports.timers.now();
      this.subscribe(false);
    };
    if (since >= REPAIR_EVERY_MS) run();
    else this.#timers.set('repair', REPAIR_EVERY_MS - since, run);
  }

  #refused(error: ParlorError): void {
    this.#awaited = null;
    if (error.code === 'closed') return;
    if (isGone(error)) {
      this.leave(error);
      return;
    }
    if (error.code === 'resync_required') {
      this.resyncReason = error.code;
      this.subscribe(true);
      return;
    }
    const wait = Math.max(
      error.retryAfterMs ?? 0,
      REPAIR_EVERY_MS,
      backoffMs(this.#failures, this.link.ports),
    );
    this.#failures += 1;
    this.#timers.set('repair', wait, () => this.subscribe());
  }

  #subscribed(frame: SubscribedFrame): void {
    if (!this.#awaited) {
      // Unasked: the texts so far, after pieces that this connection was too slow for.
      if (frame.re || this.phase !== 'live') return;
      const { streaming } = frame;
      this.onStarted.emit({ lost: false, before: this.#cursor, streaming });
      return;
    }
    if (frame.re !== this.#awaited.id) return;
    const { fresh } = this.#awaited;
    const lost = fresh || !frame.resumed;
    const before = this.#cursor;
    this.#restartedAt = fresh || frame.resumed ? null : frame.seq;
    this.#awaited = null;
    this.#failures = 0;
    // A resumed subscription replays from our position on; its `seq` is where that will end.
    this.#cursor = { epoch: frame.epoch, seq: lost ? frame.seq : (before?.seq ?? frame.seq) };
    this.#setPhase('live');
    this.onStarted.emit({ lost, before, streaming: frame.streaming });
  }

  #event(event: EventFrame): void {
    const cursor = this.#cursor;
    if (!cursor || event.seq <= cursor.seq) return;
    if (event.seq > cursor.seq + 1) {
      this.repair();
      return;
    }
    this.#cursor = { epoch: cursor.epoch, seq: event.seq };
    this.onEvent.emit(event);
  }

  #setPhase(phase: SubscriptionPhase): void {
    if (this.phase === phase) return;
    this.phase = phase;
    this.onPhase.emit(phase);
  }
}

/** Tells whether `error` means that the room is out of reach for good. */
export function isGone(error: ParlorError): boolean {
  return GONE.has(error.code);
}
