/**
 * The page's state around one client: who is logged in, the connection, the rooms, the open room.
 *
 * The room that is open stands in the address as `#/slug`, so that a reload and the back button
 * find it again.
 */

import {
  asParlorError,
  browserPorts,
  ParlorClient,
  type ConnectionState,
  type InvitePreview,
  type Login,
  type NewRoom,
  type Room,
  type UserRef,
} from '@parlor/client';
import { RoomView } from './room.svelte';

/** Nobody is told of an invitation, so the list of rooms is read again this often. */
const REFRESH_MS = 60_000;
const DEFAULT_ROOM = 'general';

export class Session {
  login = $state.raw<Login | null>(null);
  connection = $state.raw<ConnectionState>({ phase: 'idle' });
  rooms = $state.raw<readonly Room[]>([]);
  view = $state.raw<RoomView | null>(null);
  roomId = $state<string | null>(null);
  /** A sentence about something that did not work. */
  notice = $state('');
  /** A sentence on why nobody is logged in any more; empty when that was wanted. */
  ended = $state('');
  /** Where the invite link that was opened leads to, until it has been followed. */
  invite = $state.raw<InvitePreview | null>(null);
  room = $derived(this.rooms.find((room) => room.id === this.roomId) ?? null);

  readonly client = new ParlorClient({ base: location.origin, ports: browserPorts() });
  #leaving = false;
  #refresh: ReturnType<typeof setInterval> | undefined;

  constructor() {
    this.login = this.client.vault.current();
    this.client.vault.onChange((login) => this.#loginChanged(login));
    this.client.connection.onState.on((state) => (this.connection = state));
    this.client.directory.onChange.on((rooms) => this.#roomsChanged(rooms));
    window.addEventListener('online', () => this.client.connection.wake());
    window.addEventListener('hashchange', () => void this.#addressChanged());
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) return;
      this.client.connection.wake();
      if (this.login) void this.client.refreshRooms().catch(() => undefined);
    });
    if (this.login) void this.#start();
    const code = /^\/invite\/([^/]+)$/.exec(location.pathname)?.[1];
    if (code) void this.#readInvite(code);
  }

  /** Runs what a person asked for, and shows the reason when it fails. */
  async attempt(what: Promise<unknown>): Promise<boolean> {
    try {
      await what;
      this.notice = '';
      return true;
    } catch (error) {
      this.notice = sentence(asParlorError(error).detail);
      return false;
    }
  }

  open(slug: string): void {
    if (location.hash === addressOf(slug)) this.#openFromAddress();
    else location.hash = addressOf(slug);
  }

  async join(slug: string, invite?: string): Promise<void> {
    this.open((await this.client.join(slug, invite)).slug);
  }

  async create(room: NewRoom): Promise<void> {
    this.open((await this.client.create(room)).slug);
  }

  /** Opens the direct room with somebody; there is never more than one. */
  direct(user: UserRef): Promise<void> {
    const { username, display_name, kind } = user;
    const participants = kind === 'bot' ? { bots: [username] } : { members: [username] };
    return this.create({ name: display_name || username, kind: 'direct', ...participants });
  }

  async leave(room: Room): Promise<void> {
    await this.client.leave(room);
    history.replaceState(null, '', '/');
    this.#openFromAddress();
  }

  async logout(): Promise<void> {
    this.#leaving = true;
    this.#closeRoom();
    // Without the server the login ends here; there it ends with its time.
    await this.client.logout().catch(() => undefined);
  }

  async #start(): Promise<void> {
    this.#refresh = setInterval(() => {
      if (!document.hidden) void this.client.refreshRooms().catch(() => undefined);
    }, REFRESH_MS);
    await this.client.start().catch(() => undefined);
    if (!this.login) return;
    this.#openFromAddress();
    await this.#followInvite();
  }

  async #readInvite(code: string): Promise<void> {
    try {
      this.invite = await this.client.api.findInvite(code);
    } catch (error) {
      this.ended = this.notice = sentence(asParlorError(error).detail);
    }
    await this.#followInvite();
  }

  async #followInvite(): Promise<void> {
    const { invite } = this;
    if (!invite || !this.login) return;
    this.invite = null;
    history.replaceState(null, '', '/');
    await this.attempt(this.join(invite.slug, invite.code));
  }

  #loginChanged(login: Login | null): void {
    const before = this.login;
    this.login = login;
    if (before?.user.id === login?.user.id) return;
    this.ended = login || this.#leaving ? '' : 'Your login has ended. Log in to go on.';
    this.#leaving = false;
    clearInterval(this.#refresh);
    this.#closeRoom();
    this.client.stop();
    if (login) void this.#start();
  }

  #roomsChanged(rooms: readonly Room[]): void {
    this.rooms = rooms;
    if (!this.login) return;
    if (!this.roomId) this.#openFromAddress();
    else if (this.view?.phase === 'gone') this.#reopen();
    else if (!rooms.some((room) => room.id === this.roomId)) this.#openFromAddress();
  }

  async #addressChanged(): Promise<void> {
    // A room that is not in the list may be newer than the list.
    const known = !this.login || this.client.directory.find(slugOfAddress());
    if (!known) await this.client.refreshRooms().catch(() => undefined);
    this.#openFromAddress();
  }

  /** Opens the room of the address, or a sensible one when it names none of mine. */
  #openFromAddress(): void {
    const slug = slugOfAddress();
    const { directory } = this.client;
    const named = directory.find(slug);
    const room = named ?? directory.find(DEFAULT_ROOM) ?? directory.rooms()[0];
    if (!room) {
      this.#closeRoom();
      return;
    }
    if (slug && !named) this.notice = `You are in no room called ${slug}.`;
    if (room.slug !== slug) history.replaceState(null, '', addressOf(room.slug));
    if (room.id !== this.roomId) this.#show(room);
  }

  #reopen(): void {
    const room = this.rooms.find((known) => known.id === this.roomId);
    if (room) this.#show(room);
    else this.#closeRoom();
  }

  #show(room: Room): void {
    this.view?.close();
    this.view = new RoomView(this.client.feed(room));
    this.roomId = room.id;
  }

  #closeRoom(): void {
    this.view?.close();
    this.view = null;
    this.roomId = null;
    this.client.directory.reading(null);
  }
}

function addressOf(slug: string): string {
  return `#/${encodeURIComponent(slug)}`;
}

function slugOfAddress(): string {
  const written = /^#\/(.+)$/.exec(location.hash)?.[1] ?? '';
  try {
    return decodeURIComponent(written);
  } catch {
    return written;
  }
}

/** Returns a fragment as a sentence. */
export function sentence(fragment: string): string {
  const text = fragment.charAt(0).toUpperCase() + fragment.slice(1);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/** Returns what to call a room: a direct one is called after the other side. */
export function roomTitle(room: Room, me: string): string {
  if (room.kind !== 'direct') return room.name;
  const others = (room.participants ?? []).filter((user) => user.id !== me);
  return others.length > 0 ? others.map((user) => user.display_name).join(', ') : room.name;
}
