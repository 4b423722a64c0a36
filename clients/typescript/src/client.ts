/**
 * A Parlor client: one login, one connection, and a feed for each of my rooms.
 *
 * Framework-free: a view listens to `onState`, `directory.onChange` and a feed's `onChange`.
 */

import { Api, type NewRoom } from './api.js';
import { SESSION_REVOKED } from './close-codes.js';
import { Connection } from './connection.js';
import { Directory } from './directory.js';
import { asParlorError, ParlorError } from './errors.js';
import { Feed, type FeedLink } from './feed.js';
import { HttpClient } from './http.js';
import type { Ports } from './ports.js';
import { TimerSet } from './timer-set.js';
import type { Room, RoomFrame, ServerFrame } from './types.js';

const DEFAULT_SUBSCRIPTIONS = 200;
const READ_DELAY_MS = 800;
const REFRESH_SOON_MS = 500;

export interface ClientOptions {
  /** Where the server is, such as `https://chat.example.org`. */
  base: string;
  ports: Ports;
}

export class ParlorClient {
  readonly api: Api;
  readonly connection: Connection;
  readonly directory = new Directory();

  readonly #http: HttpClient;
  readonly #feeds = new Map<string, Feed>();
  readonly #link: FeedLink;
  readonly #timers: TimerSet<'read' | 'refresh'>;
  #read = new Map<string, number>();
  #unsentRead = new Map<string, number>();
  #running = false;

  constructor({ base, ports }: ClientOptions) {
    this.#http = new HttpClient(base, ports);
    this.api = new Api(this.#http);
    this.#timers = new TimerSet(ports.timers);
    this.connection = new Connection({
      url: `${base.replace(/^http/, 'ws')}/v1/ws`,
      ports,
      vault: this.#http.vault,
      ticket: () => this.api.wsTicket(),
    });
    this.#link = {
      ports,
      command: (command) => this.connection.command(command),
      history: (room, before, limit) => this.api.history(room, before, limit),
      members: (room) => this.api.members(room),
    };
    this.connection.onFrame.on((frame) => this.#route(frame));
    this.connection.onState.on((state) => {
      for (const feed of this.#feeds.values()) {
        if (state.phase === 'open') feed.connected();
        else if (feed.phase !== 'offline') feed.disconnected();
      }
      if (state.phase === 'open') this.#refreshSoon();
      if (state.phase === 'closed' && state.code === SESSION_REVOKED) this.vault.clear();
    });
  }

  get vault() {
    return this.#http.vault;
  }

  /** Reads my rooms and connects. The rooms are read again after each reconnect. */
  async start(): Promise<void> {
    this.#running = true;
    try {
      await this.refreshRooms();
    } catch (error) {
      if (asParlorError(error).signedOut) throw error;
      this.#refreshSoon(5_000);
    }
    if (this.#running) this.connection.start();
  }

  stop(): void {
    this.#running = false;
    this.#timers.clearAll();
    this.connection.stop();
    for (const feed of this.#feeds.values()) feed.close();
    this.#feeds.clear();
    this.directory.replace([]);
    this.#read.clear();
    this.#unsentRead.clear();
  }

  /** Reads my rooms and follows them. */
  async refreshRooms(): Promise<void> {
    const rooms = await this.api.myRooms();
    if (!this.#running) return;
    const mine = rooms.filter((room) => room.role !== null);
    this.directory.replace(mine);
    const ids = new Set(mine.map((room) => room.id));
    for (const id of [...this.#feeds.keys()]) if (!ids.has(id)) this.#drop(id);
    for (const room of mine) this.#follow(room);
  }

  /** Returns the feed of one of my rooms. */
  feed(room: Room): Feed {
    const known = this.#feeds.get(room.id);
    if (known && known.phase !== 'gone') return known;
    if (this.#feeds.size >= this.#maxFeeds()) this.#dropOne();
    return this.#make(room);
  }

  async join(slug: string, invite?: string): Promise<Room> {
    const login = this.vault.current();
    if (!login) throw new ParlorError('unauthenticated', 'log in first');
    await this.api.join(slug, login.user.username, invite);
    return this.#enter(await this.api.getRoom(slug));
  }

  async create(room: NewRoom): Promise<Room> {
    return this.#enter(await this.api.createRoom(room));
  }

  async leave(room: Room): Promise<void> {
    const login = this.vault.current();
    if (!login) return;
    await this.api.leave(room.id, login.user.username);
    this.directory.remove(room.id);
    this.#drop(room.id);
  }

  /** Stops a reply that is being written. */
  async cancel(room: string, message: string): Promise<void> {
    await this.connection.command({ op: 'cancel', room, message }).answer;
  }

  typing(room: string, on: boolean): void {
    this.connection.notice({ op: 'typing', room, on });
  }

  /** Says that I have read up to `seq`; told to the server after a moment, once. */
  markRead(room: string, seq: number): void {
    this.directory.change(room, { unread: 0, mentions: 0 });
    if (seq <= (this.#read.get(room) ?? 0)) return;
    this.#read.set(room, seq);
    this.#unsentRead.set(room, seq);
    if (!this.#timers.has('read')) this.#timers.set('read', READ_DELAY_MS, () => this.#sendRead());
  }

  async logout(): Promise<void> {
    this.stop();
    await this.api.logout();
  }

  #sendRead(): void {
    if (this.connection.state.phase !== 'open') return;
    for (const [room, seq] of this.#unsentRead) this.connection.notice({ op: 'read', room, seq });
    this.#unsentRead.clear();
  }

  #enter(room: Room): Room {
    this.directory.put(room);
    this.feed(room);
    return room;
  }

  /** Follows a room for its counts, unless the connection can take no more. */
  #follow(room: Room): void {
    const known = this.#feeds.get(room.id);
    if (known && known.phase !== 'gone') return;
    if (known || this.#feeds.size < this.#maxFeeds()) this.#make(room);
  }

  #maxFeeds(): number {
    const state = this.connection.state;
    const limit = state.phase === 'open' ? state.welcome.limits.subscriptions : undefined;
    return limit ?? DEFAULT_SUBSCRIPTIONS;
  }

  /** Makes place for a room that is opened beyond the limit. */
  #dropOne(): void {
    for (const [id, feed] of this.#feeds) {
      if (feed.opened || feed.outbox.messages().length > 0) continue;
      this.#drop(id);
      return;
    }
  }

  #make(room: Room): Feed {
    const start = room.epoch && room.seq >= 0 ? { epoch: room.epoch, seq: room.seq } : null;
    const feed = new Feed(room.id, start, this.#link);
    feed.onEvent.on((event) => {
      const me = this.vault.current()?.user.id ?? '';
      this.directory.apply(event, me);
      const iLeft = event.type === 'member.left' && event.data.user.id === me;
      if (iLeft) feed.leave();
    });
    feed.onReset.on(() => this.#refreshSoon());
    this.#feeds.set(room.id, feed);
    if (this.connection.state.phase === 'open') feed.connected();
    return feed;
  }

  #drop(id: string): void {
    const feed = this.#feeds.get(id);
    this.#feeds.delete(id);
    if (!feed || feed.phase === 'gone') return;
    feed.leave();
    this.connection.command({ op: 'unsubscribe', room: id }).answer.catch(() => {
      // The room may be gone already, and then so is the subscription.
    });
  }

  #refreshSoon(ms = REFRESH_SOON_MS): void {
    if (!this.#running || this.#timers.has('refresh')) return;
    this.#timers.set('refresh', ms, () => {
      this.refreshRooms().catch((error: unknown) => {
        if (asParlorError(error).retryable) this.#refreshSoon(10_000);
      });
    });
  }

  #route(frame: ServerFrame): void {
    if (!isRoomFrame(frame)) return;
    this.#feeds.get(frame.room)?.receive(frame);
    if (frame.op === 'signal' && frame.type === 'receipt') this.#receipt(frame.room, frame.data);
  }

  /** I have read a room in another window. */
  #receipt(room: string, { user, seq }: { user: { id: string }; seq: number }): void {
    if (user.id !== this.vault.current()?.user.id) return;
    const head = this.#feeds.get(room)?.cursor?.seq ?? 0;
    if (seq >= head) this.directory.change(room, { unread: 0, mentions: 0 });
  }
}

function isRoomFrame(frame: ServerFrame): frame is RoomFrame {
  return (
    frame.op === 'subscribed' ||
    frame.op === 'event' ||
    frame.op === 'signal' ||
    frame.op === 'resync'
  );
}
