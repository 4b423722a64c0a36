/**
 * One room as one client follows it: the subscription, its position, and what it has told.
 *
 * Guarantees: events are applied once, in order, without a hole. The next one is applied, a known
 * one is dropped, and one from further ahead makes the feed subscribe again from its position. When
 * the server cannot continue that position, the newest page of history is read again. While history
 * is read, events wait, so that an older page never overwrites what a newer event said.
 *
 * A feed that is not open (its room is not on the screen) keeps its position and counts, not the
 * messages.
 */

import type { Answer } from './answers.js';
import { backoffMs } from './backoff.js';
import { asParlorError, ParlorError } from './errors.js';
import { Notifier } from './notifier.js';
import { Outbox } from './outbox.js';
import type { Ports } from './ports.js';
import { Roster } from './roster.js';
import { Timeline } from './timeline.js';
import { TimerSet } from './timer-set.js';
import type {
  Command,
  Cursor,
  EventFrame,
  Member,
  Message,
  Page,
  RoomFrame,
  SignalFrame,
  SubscribedFrame,
} from './types.js';

const PAGE = 50;
/** A feed does not repair itself more often than this. */
const REPAIR_EVERY_MS = 1_000;
/** An open feed lets its oldest messages go beyond this number; they can be read again. */
const MAX_MESSAGES = 3_000;
const GONE = new Set(['not_a_member', 'forbidden', 'not_found']);

export type FeedPhase = 'offline' | 'subscribing' | 'live' | 'gone';

export type FeedChange =
  | { kind: 'messages' }
  | { kind: 'stream'; messages: string[] }
  | { kind: 'roster' }
  | { kind: 'outbox' }
  | { kind: 'status' };

/** What a feed needs of the client that owns it. */
export interface FeedLink {
  ports: Ports;
  command(command: Command): { id: string; answer: Promise<Answer> };
  history(room: string, before?: number, limit?: number): Promise<Page<Message>>;
  members(room: string): Promise<Member[]>;
}

export class Feed {
  readonly onChange = new Notifier<FeedChange>();
  /** Every event once, in order, also while the room is not open. */
  readonly onEvent = new Notifier<EventFrame>();
  /** The position was lost: counts kept elsewhere have to be read again. */
  readonly onReset = new Notifier<void>();
  readonly timeline = new Timeline();
  readonly roster: Roster;
  readonly outbox: Outbox;

  phase: FeedPhase = 'offline';
  error: ParlorError | null = null;
  /** Whether the newest page has been read. */
  loaded = false;
  /** Whether there is history older than what is shown. */
  hasOlder = false;
  loadingOlder = false;

  #cursor: Cursor | null;
  #opened = false;
  #connected = false;
  #awaited: { id: string; fresh: boolean } | null = null;
  /** What arrives while history is read, to be applied on top of it. */
  #waiting: (EventFrame | SignalFrame)[] | null = null;
  /** The position that a refused resume was answered with; its `resync` says nothing new. */
  #restartedAt: number | null = null;
  #loads = 0;
  #failures = 0;
  #repairedAt = -REPAIR_EVERY_MS;
  readonly #timers: TimerSet<'repair' | 'reload'>;

  constructor(
    readonly room: string,
    start: Cursor | null,
    private readonly link: FeedLink,
  ) {
    this.#cursor = start;
    this.#timers = new TimerSet(link.ports.timers);
    this.roster = new Roster(link.ports.timers, () => this.onChange.emit({ kind: 'roster' }));
    const send = (command: Command) => link.command(command).answer;
    this.outbox = new Outbox(room, link.ports, send, () => this.onChange.emit({ kind: 'outbox' }));
  }

  /** Whether the messages are kept, because someone looks at the room. */
  get opened(): boolean {
    return this.#opened;
  }

  get cursor(): Cursor | null {
    return this.#cursor;
  }

  /** Starts to keep messages: subscribes again for the replies under way and reads history. */
  open(): void {
    if (this.#opened) return;
    this.#opened = true;
    if (this.#connected) this.#subscribe(this.#cursor === null);
  }

  /** Lets the messages go; the position and what is still to be sent stay. */
  close(): void {
    this.#opened = false;
    this.loaded = false;
    this.hasOlder = false;
    this.#loads += 1;
    this.#waiting = null;
    this.#timers.clear('reload');
    this.timeline.clear();
    this.roster.clear();
  }

  /** The connection is open. */
  connected(): void {
    this.#connected = true;
    this.#failures = 0;
    this.#subscribe(this.#cursor === null);
  }

  /** The connection is gone. */
  disconnected(): void {
    this.#connected = false;
    this.#awaited = null;
    this.#timers.clearAll();
    this.outbox.disconnected();
    if (this.phase !== 'gone') this.#setPhase('offline');
  }

  /** Membership has ended, so no further frame of this room can come. */
  leave(): void {
    this.error = new ParlorError('not_a_member', 'you are no longer a member of this room');
    this.#awaited = null;
    this.#timers.clearAll();
    this.outbox.disconnected();
    this.#setPhase('gone');
  }

  /** Takes a frame of this room. */
  receive(frame: RoomFrame): void {
    switch (frame.op) {
      case 'subscribed':
        this.#subscribed(frame);
        break;
      case 'event':
        this.#event(frame);
        break;
      case 'signal':
        this.#signal(frame);
        break;
      case 'resync':
        if (this.#restartedAt !== frame.from) this.#subscribe(true);
        this.#restartedAt = null;
        break;
    }
  }

  /** Reads the page before the oldest message shown. */
  async loadOlder(): Promise<void> {
    const before = this.timeline.oldestSeq();
    if (!this.loaded || this.loadingOlder || !this.hasOlder || before === null) return;
    const load = this.#loads;
    this.loadingOlder = true;
    this.onChange.emit({ kind: 'status' });
    try {
      const page = await this.link.history(this.room, before, PAGE);
      if (load !== this.#loads) return;
      this.timeline.add(page.items);
      this.hasOlder = page.next !== null && page.items.length > 0;
      this.onChange.emit({ kind: 'messages' });
    } finally {
      this.loadingOlder = false;
      this.onChange.emit({ kind: 'status' });
    }
  }

  /** Reads the newest page again, after it could not be read. */
  reload(): void {
    if (this.#opened) void this.#reload();
  }

  #subscribe(fresh: boolean): void {
    if (!this.#connected || this.phase === 'gone') return;
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

  #refused(error: ParlorError): void {
    this.#awaited = null;
    if (error.code === 'closed') return;
    if (GONE.has(error.code)) {
      this.error = error;
      this.#setPhase('gone');
      return;
    }
    if (error.code === 'resync_required') {
      this.#subscribe(true);
      return;
    }
    const wait = Math.max(
      error.retryAfterMs ?? 0,
      REPAIR_EVERY_MS,
      backoffMs(this.#failures, this.link.ports.random),
    );
    this.#failures += 1;
    this.#timers.set('repair', wait, () => this.#subscribe(this.#cursor === null));
  }

  #subscribed(frame: SubscribedFrame): void {
    if (!this.#awaited || frame.re !== this.#awaited.id) return;
    const lost = this.#awaited.fresh || !frame.resumed;
    const hadPosition = this.#cursor !== null;
    this.#restartedAt = this.#awaited.fresh || frame.resumed ? null : frame.seq;
    this.#awaited = null;
    this.#failures = 0;
    // A resumed subscription replays from our position on; its `seq` is where that will end.
    this.#cursor = { epoch: frame.epoch, seq: lost ? frame.seq : (this.#cursor?.seq ?? frame.seq) };
    const changed = this.timeline.applySnapshot(frame.streaming);
    this.#setPhase('live');
    if (changed.length > 0) this.onChange.emit({ kind: 'stream', messages: changed });
    if (lost && hadPosition) this.onReset.emit();
    const unread = !this.loaded || this.#waiting !== null;
    if (this.#opened && (lost || unread)) void this.#reload();
    this.outbox.connected();
  }

  #event(event: EventFrame): void {
    const cursor = this.#cursor;
    if (!cursor || event.seq <= cursor.seq) return;
    if (event.seq > cursor.seq + 1) {
      this.#repair();
      return;
    }
    this.#cursor = { epoch: cursor.epoch, seq: event.seq };
    if (event.type === 'message.created' && event.data.client_id) {
      this.outbox.settle(event.data.client_id);
    }
    if (this.#waiting) this.#waiting.push(event);
    else if (this.loaded) this.#apply(event);
    this.onEvent.emit(event);
  }

  #apply(event: EventFrame): void {
    this.timeline.apply(event);
    this.roster.apply(event);
    if (event.type === 'history.reset') this.hasOlder = false;
    if (this.timeline.trim(MAX_MESSAGES)) this.hasOlder = true;
    this.onChange.emit({ kind: 'messages' });
  }

  #signal(frame: SignalFrame): void {
    if (this.#waiting) {
      this.#waiting.push(frame);
      return;
    }
    if (!this.loaded) return;
    if (frame.type !== 'message.delta') {
      this.roster.signal(frame);
      return;
    }
    const outcome = this.timeline.applyDelta(frame.data);
    if (outcome === 'hole') this.#repair();
    else if (outcome === 'applied') {
      this.onChange.emit({ kind: 'stream', messages: [frame.data.message] });
    }
  }

  /** Something is missing: subscribe again from our position, at once but not all the time. */
  #repair(): void {
    if (this.#awaited || this.#timers.has('repair')) return;
    const since = this.link.ports.timers.now() - this.#repairedAt;
    const run = () => {
      this.#repairedAt = this.link.ports.timers.now();
      this.#subscribe(false);
    };
    if (since >= REPAIR_EVERY_MS) run();
    else this.#timers.set('repair', REPAIR_EVERY_MS - since, run);
  }

  async #reload(): Promise<void> {
    const load = ++this.#loads;
    this.#timers.clear('reload');
    this.#waiting = [];
    let page: Page<Message>;
    let members: Member[] | null;
    try {
      [page, members] = await Promise.all([
        this.link.history(this.room, undefined, PAGE),
        this.link.members(this.room).catch(() => null),
      ]);
    } catch (error) {
      if (load === this.#loads) this.#reloadFailed(asParlorError(error));
      return;
    }
    if (load !== this.#loads) return;
    this.#failures = 0;
    this.error = null;
    this.timeline.replace(page.items);
    if (members) this.roster.replace(members);
    this.outbox.settleSent();
    for (const { client_id } of page.items) if (client_id) this.outbox.settle(client_id);
    this.hasOlder = page.next !== null && page.items.length > 0;
    this.loaded = true;
    const waiting = this.#waiting ?? [];
    this.#waiting = null;
    for (const frame of waiting) {
      if (frame.op === 'event') this.#apply(frame);
      else this.#signal(frame);
    }
    this.onChange.emit({ kind: 'messages' });
    this.onChange.emit({ kind: 'status' });
  }

  #reloadFailed(error: ParlorError): void {
    this.error = error;
    if (GONE.has(error.code)) {
      this.#setPhase('gone');
      return;
    }
    const wait = Math.max(error.retryAfterMs ?? 0, backoffMs(this.#failures, this.link.ports.random));
    this.#failures += 1;
    this.#timers.set('reload', Math.max(wait, REPAIR_EVERY_MS), () => void this.#reload());
    this.onChange.emit({ kind: 'status' });
  }

  #setPhase(phase: FeedPhase): void {
    if (this.phase === phase) return;
    this.phase = phase;
    this.onChange.emit({ kind: 'status' });
  }
}
