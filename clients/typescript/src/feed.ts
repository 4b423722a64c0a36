/**
 * One room as a view shows it: what its subscription has told, over the newest pages of history.
 *
 * Guarantees: events are applied once, in order, without a hole (see `Subscription`). When the server
 * cannot continue the position, the newest page of history is read again. While history is read,
 * events wait, so that an older page never overwrites what a newer event said.
 *
 * A feed that is not open (its room is not on the screen) keeps its position and counts, not the
 * messages.
 */

import { backoffMs } from './backoff.js';
import { asParlorError, type ParlorError } from './errors.js';
import { Notifier } from './notifier.js';
import { Outbox, type SendCommand } from './outbox.js';
import { Roster } from './roster.js';
import {
  isGone,
  REPAIR_EVERY_MS,
  Subscription,
  type Started,
  type SubscriptionLink,
  type SubscriptionPhase,
} from './subscription.js';
import { Timeline } from './timeline.js';
import { TimerSet } from './timer-set.js';
import type { Cursor, EventFrame, Member, Message, Page, RoomFrame, SignalFrame } from './types.js';

const PAGE = 50;
/** An open feed lets its oldest messages go beyond this number; they can be read again. */
const MAX_MESSAGES = 3_000;
/** More frames than this do not wait for history. */
const MAX_WAITING = 1_000;

export type FeedPhase = SubscriptionPhase;

export type FeedChange =
  | { kind: 'messages' }
  | { kind: 'stream'; messages: string[] }
  | { kind: 'roster' }
  | { kind: 'outbox' }
  | { kind: 'status' };

/** What a feed needs of the client that owns it. */
export interface FeedLink extends SubscriptionLink {
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

  error: ParlorError | null = null;
  /** Whether the newest page has been read. */
  loaded = false;
  /** Whether there is history older than what is shown. */
  hasOlder = false;
  loadingOlder = false;

  readonly #subscription: Subscription;
  #opened = false;
  /** What arrives while history is read, to be applied on top of it. */
  #waiting: (EventFrame | SignalFrame)[] | null = null;
  #loads = 0;
  #failures = 0;
  readonly #timers: TimerSet<'reload'>;

  constructor(
    readonly room: string,
    start: Cursor | null,
    private readonly link: FeedLink,
  ) {
    this.#subscription = new Subscription(room, start, link);
    this.#subscription.onPhase.on((phase) => this.#phaseChanged(phase));
    this.#subscription.onStarted.on((started) => this.#started(started));
    this.#subscription.onEvent.on((event) => this.#event(event));
    this.#subscription.onSignal.on((signal) => this.#signal(signal));
    this.#timers = new TimerSet(link.ports.timers);
    this.roster = new Roster(link.ports.timers, () => this.onChange.emit({ kind: 'roster' }));
    const send: SendCommand = (command) => link.command(command).answer;
    this.outbox = new Outbox(room, link.ports, send, () => this.onChange.emit({ kind: 'outbox' }));
  }

  /** Whether the messages are kept, because someone looks at the room. */
  get opened(): boolean {
    return this.#opened;
  }

  get phase(): FeedPhase {
    return this.#subscription.phase;
  }

  get cursor(): Cursor | null {
    return this.#subscription.cursor;
  }

  /** Starts to keep messages: subscribes again for the replies under way and reads history. */
  open(): void {
    if (this.#opened) return;
    this.#opened = true;
    this.#subscription.subscribe();
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
    this.#failures = 0;
    this.#subscription.connected();
  }

  /** The connection is gone. */
  disconnected(): void {
    this.#timers.clearAll();
    this.outbox.disconnected();
    this.#subscription.disconnected();
  }

  /** Membership has ended, so no further frame of this room can come. */
  leave(): void {
    this.#subscription.leave();
  }

  /** Takes a frame of this room. */
  receive(frame: RoomFrame): void {
    this.#subscription.receive(frame);
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

  #phaseChanged(phase: FeedPhase): void {
    if (phase === 'gone') {
      this.error = this.#subscription.error;
      this.#timers.clearAll();
      this.outbox.disconnected();
    }
    this.onChange.emit({ kind: 'status' });
  }

  #started({ lost, before, streaming }: Started): void {
    const changed = this.timeline.applySnapshot(streaming);
    if (changed.length > 0) this.onChange.emit({ kind: 'stream', messages: changed });
    if (lost && before) this.onReset.emit();
    const unread = !this.loaded || this.#waiting !== null;
    if (this.#opened && (lost || unread)) void this.#reload();
    this.outbox.connected();
  }

  #event(event: EventFrame): void {
    if (event.type === 'message.created' && event.data.client_id) {
      this.outbox.settle(event.data.client_id);
    }
    if (this.#waiting) this.#wait(event, this.#waiting);
    else if (this.loaded) this.#apply(event);
    this.onEvent.emit(event);
  }

  /** Keeps an event until history is read. When too many wait, history is read anew with them. */
  #wait(event: EventFrame, waiting: (EventFrame | SignalFrame)[]): void {
    if (waiting.length < MAX_WAITING) waiting.push(event);
    else void this.#reload();
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
      if (this.#waiting.length < MAX_WAITING) this.#waiting.push(frame);
      return;
    }
    if (!this.loaded) return;
    if (frame.type !== 'message.delta') {
      this.roster.signal(frame);
      return;
    }
    const outcome = this.timeline.applyDelta(frame.data);
    if (outcome === 'hole') this.#subscription.repair();
    else if (outcome === 'applied') {
      this.onChange.emit({ kind: 'stream', messages: [frame.data.message] });
    }
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
    if (isGone(error)) {
      this.#subscription.leave(error);
      return;
    }
    const wait = Math.max(error.retryAfterMs ?? 0, backoffMs(this.#failures, this.link.ports));
    this.#failures += 1;
    this.#timers.set('reload', Math.max(wait, REPAIR_EVERY_MS), () => void this.#reload());
    this.onChange.emit({ kind: 'status' });
  }
}
