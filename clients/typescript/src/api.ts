/** The HTTP calls of the contract that a chat client needs, one method each. */

import type { HttpClient } from './http.js';
import type { Login } from './tokens.js';
import type {
  ImportReport,
  Invite,
  InvitePreview,
  Member,
  Message,
  Operations,
  Page,
  RawBody,
  Room,
  RoomKind,
  ServerInfo,
  TokenGrant,
  User,
} from './types.js';

export type ExportFormat = 'markdown' | 'jsonl' | 'json';

export type HistoryQuery = {
  [Name in keyof Operations['GET /v1/rooms/{room}/messages']['query']]?:
    Operations['GET /v1/rooms/{room}/messages']['query'][Name] | undefined;
};

export interface NewRoom {
  name: string;
  kind: RoomKind;
  topic?: string;
  members?: string[];
  bots?: string[];
}

export class Api {
  constructor(protected readonly http: HttpClient) {}

  /** Makes an account; the room of an invite is joined, too. */
  register(
    username: string,
    password: string,
    invite?: string,
    signal?: AbortSignal,
  ): Promise<Login> {
    return this.#enter('/v1/auth/register', { username, password, invite }, signal);
  }

  login(username: string, password: string, signal?: AbortSignal): Promise<Login> {
    return this.#enter('/v1/auth/token', { username, password }, signal);
  }

  /** Makes the first administrator with the one-time token of the setup link. */
  setUp(token: string, username: string, password: string): Promise<Login> {
    return this.#enter('/v1/auth/setup', { token, username, password });
  }

  /** Ends the session on the server and forgets it here, the latter also when offline. */
  async logout(signal?: AbortSignal): Promise<void> {
    try {
      await this.http.json('POST', '/v1/auth/logout', { signal });
    } finally {
      this.http.vault.clear();
    }
  }

  wsTicket(): Promise<{ ticket: string; expires_in: number }> {
    return this.http.json('POST', '/v1/auth/ws-ticket');
  }

  /** Returns all my rooms, page by page up to `max`. */
  async myRooms(max = 1000): Promise<Room[]> {
    return this.#all<Room>('/v1/rooms', { mine: true }, max);
  }

  /** Returns the first page of rooms that I can see, optionally by name. */
  async findRooms(q?: string): Promise<Room[]> {
    const query = { limit: 100, q: q || undefined };
    return (await this.http.json<Page<Room>>('GET', '/v1/rooms', { query })).items;
  }

  createRoom(room: NewRoom): Promise<Room> {
    return this.http.json('POST', '/v1/rooms', { body: room });
  }

  getRoom(room: string): Promise<Room> {
    return this.http.json('GET', `/v1/rooms/${encodeURIComponent(room)}`);
  }

  /** Joins, or invites somebody else; `invite` is the code of a link that was given to me. */
  join(room: string, username: string, invite?: string, signal?: AbortSignal): Promise<unknown> {
    return this.http.json('PUT', memberPath(room, username), { body: { invite }, signal });
  }

  leave(room: string, username: string): Promise<unknown> {
    return this.http.json('DELETE', memberPath(room, username));
  }

  members(room: string, max = 1000): Promise<Member[]> {
    return this.#all<Member>(`/v1/rooms/${encodeURIComponent(room)}/members`, {}, max);
  }

  /** Returns a page of history in ascending `seq`: the newest, or the one older than `before`. */
  history(room: string, before?: number, limit = 50): Promise<Page<Message>> {
    return this.messages(room, { before, limit });
  }

  /** Returns a page of history in ascending `seq`. */
  messages(room: string, query: HistoryQuery = {}, signal?: AbortSignal): Promise<Page<Message>> {
    return this.http.json('GET', messagesPath(room), { query: { ...query }, signal });
  }

  edit(room: string, message: string, body: string): Promise<unknown> {
    return this.http.json('PATCH', `${messagesPath(room)}/${message}`, { body: { body } });
  }

  redact(room: string, message: string): Promise<unknown> {
    return this.http.json('DELETE', `${messagesPath(room)}/${message}`);
  }

  react(room: string, message: string, emoji: string, on: boolean): Promise<unknown> {
    const path = `${messagesPath(room)}/${message}/reactions/${encodeURIComponent(emoji)}`;
    return this.http.json(on ? 'PUT' : 'DELETE', path);
  }

  resetHistory(room: string): Promise<unknown> {
    return this.http.json('DELETE', messagesPath(room));
  }

  async exportRoom(room: string, format: ExportFormat): Promise<Blob> {
    const path = `/v1/rooms/${encodeURIComponent(room)}/export`;
    const options = { query: { format }, headers: { accept: '*/*' }, timeoutMs: 0 };
    return (await this.http.send('GET', path, options)).blob();
  }

  /**
   * Makes a room of a file that `exportRoom` gave as `jsonl`; for administrators. `map` says who its
   * people are here: `old=new,old=new`.
   */
  importRoom(
    file: RawBody,
    options: { map?: string; dry_run?: boolean } = {},
  ): Promise<ImportReport> {
    const headers = { 'content-type': 'application/jsonl' };
    const request = { raw: file, query: { ...options }, headers, timeoutMs: 0 };
    return this.http.json('POST', '/v1/rooms/import', request);
  }

  /** Makes a link that lets its holders join. */
  createInvite(room: string): Promise<Invite> {
    return this.http.json('POST', `/v1/rooms/${encodeURIComponent(room)}/invites`);
  }

  findInvite(code: string): Promise<InvitePreview> {
    return this.http.json('GET', `/v1/invites/${encodeURIComponent(code)}`, { auth: false });
  }

  info(): Promise<ServerInfo> {
    return this.http.json('GET', '/info', { auth: false });
  }

  profile(): Promise<User> {
    return this.http.json('GET', '/v1/users/me');
  }

  userByName(username: string): Promise<User> {
    return this.http.json('GET', `/v1/users/${encodeURIComponent(username)}`);
  }

  async #enter(path: string, body: unknown, signal?: AbortSignal): Promise<Login> {
    const grant = await this.http.json<TokenGrant>('POST', path, { body, auth: false, signal });
    return this.http.vault.store(grant);
  }

  async #all<T>(
    path: string,
    query: Record<string, string | number | boolean>,
    max: number,
  ): Promise<T[]> {
    const items: T[] = [];
    let cursor: string | undefined;
    do {
      const page = await this.http.json<Page<T>>('GET', path, {
        query: { ...query, limit: 200, cursor },
      });
      items.push(...page.items);
      cursor = page.items.length > 0 ? (page.next ?? undefined) : undefined;
    } while (cursor && items.length < max);
    return items;
  }
}

function messagesPath(room: string): string {
  return `/v1/rooms/${encodeURIComponent(room)}/messages`;
}

function memberPath(room: string, username: string): string {
  return `/v1/rooms/${encodeURIComponent(room)}/members/${encodeURIComponent(username)}`;
}
