/**
 * Parlor for programs: one login, one connection, and the rooms that are followed.
 *
 * ```ts
 * const parlor = new Parlor('http://127.0.0.1:7777');
 * await parlor.login('echo', 'a long password');
 * const room = await parlor.join('general');
 * for await (const message of room) await room.send(message.body, { reply_to: message.id });
 * ```
 */

import { abortable } from './abortable.js';
import { Api } from './api.js';
import {
  call,
  callsOf,
  listAll,
  type CallArguments,
  type Calls,
  type ItemOf,
  type ListKey,
  type OperationKey,
} from './call.js';
import { Connection, type ConnectionState } from './connection.js';
import { Emitter } from './emitter.js';
import { asParlorError, ParlorError } from './errors.js';
import { HttpClient } from './http.js';
import type { OutboxLimits } from './outbox.js';
import type { Wishes } from './opening.js';
import { platformPorts, type PlatformOptions, type Ports } from './ports.js';
import { ParlorRoom } from './room.js';
import type { TokenVault } from './tokens.js';
import type {
  Attachment,
  ClientStatus,
  Cursor,
  Operations,
  Room,
  ServerFrame,
  User,
  WelcomeFrame,
} from './types.js';
import { upload, type UploadOptions } from './upload.js';

export interface ParlorOptions extends PlatformOptions, Wishes {
  /** The name and version of the program. */
  client?: string;
  /** Bounds on what waits to be written in each room. */
  outbox?: OutboxLimits;
  /** Closes everything. */
  signal?: AbortSignal;
  /** Everything that comes from outside, in place of the platform's. */
  ports?: Partial<Ports>;
}

export interface ParlorEvents {
  state: ConnectionState;
  /** Every frame as it came. */
  frame: ServerFrame;
}

interface Abortable {
  signal?: AbortSignal | undefined;
}

export class Parlor extends Emitter<ParlorEvents> {
  /** Every call of the HTTP API, by name. */
  readonly calls: Calls;
  readonly connection: Connection;

  readonly #api: Api;
  readonly #http: HttpClient;
  readonly #rooms = new Map<string, ParlorRoom>();
  readonly #ports: Ports;
  readonly #options: ParlorOptions;

  /** `url` is where the server is, such as `https://chat.example.org`. */
  constructor(url: string, options: ParlorOptions = {}) {
    super();
    const base = url.replace(/\/+$/, '');
    this.#options = options;
    this.#ports = { ...platformPorts(options), ...options.ports };
    this.#http = new HttpClient(base, this.#ports);
    this.calls = callsOf(this.#http);
    this.#api = new Api(this.#http);
    const { deltas, intents } = options;
    this.connection = new Connection({
      url: `${base.replace(/^http/, 'ws')}/v1/ws`,
      ports: this.#ports,
      vault: this.#http.vault,
      ticket: () => this.#api.wsTicket(),
      proof: 'hello',
      client: options.client ?? 'parlor-typescript/0.1',
      ...(deltas && { deltas }),
      ...(intents && { intents }),
    });
    this.connection.onFrame.on((frame) => this.#frame(frame));
    this.connection.onState.on((state) => this.#state(state));
    options.signal?.addEventListener('abort', () => this.close(), { once: true });
  }

  get vault(): TokenVault {
    return this.#http.vault;
  }

  /** The user that is logged in. */
  get user(): User | null {
    return this.vault.current()?.user ?? null;
  }

  get state(): ConnectionState {
    return this.connection.state;
  }

  async login(username: string, password: string, { signal }: Abortable = {}): Promise<User> {
    return (await this.#api.login(username, password, signal)).user;
  }

  async register(username: string, password: string, { signal }: Abortable = {}): Promise<User> {
    return (await this.#api.register(username, password, undefined, signal)).user;
  }

  /** Uses an access token that was made elsewhere; it is not renewed. */
  async useToken(token: string, { signal }: Abortable = {}): Promise<User> {
    const headers = { authorization: `Bearer ${token}` };
    const options = { headers, auth: false, signal };
    const user = await this.#http.json<User>('GET', '/v1/users/me', options);
    this.vault.hold(token, user);
    return user;
  }

  /** Ends the login on the server and forgets it here. */
  async logout({ signal }: Abortable = {}): Promise<void> {
    this.close();
    await this.#api.logout(signal);
  }

  /** Connects and returns what the server says of itself. Rooms do this by themselves. */
  connect({ signal }: Abortable = {}): Promise<WelcomeFrame> {
    if (signal?.aborted || this.#options.signal?.aborted) {
      const { reason } = (signal?.aborted ? signal : this.#options.signal) as AbortSignal;
      return Promise.reject(reason as Error);
    }
    let off: () => void = () => undefined;
    const connected = new Promise<WelcomeFrame>((resolve, reject) => {
      const look = (state: ConnectionState) => {
        if (state.phase === 'open') resolve(state.welcome);
        else if (state.phase === 'closed') reject(state.error);
        else if (state.phase === 'idle') reject(new ParlorError('closed', 'it was closed'));
      };
      off = this.on('state', look);
      this.connection.start();
      if (this.state.phase === 'open') look(this.state);
    });
    return abortable(connected, signal).finally(off);
  }

  /**
   * Follows a room that I am a member of, from `since` or from now on.
   *
   * Nothing that happens from then on is missed, however late somebody begins to listen.
   */
  async open(name: string, options: Abortable & { since?: Cursor } = {}): Promise<ParlorRoom> {
    const { signal, since } = options;
    const wire = await this.call('GET /v1/rooms/{room}', { path: { room: name }, signal });
    return this.#follow(wire, since ?? null, signal);
  }

  /**
   * Becomes a member of a room and follows it; `invite` is the code of a link to it.
   *
   * Nothing that is said from the moment of entering is missed.
   */
  async join(
    name: string,
    options: Abortable & { invite?: string; since?: Cursor } = {},
  ): Promise<ParlorRoom> {
    const { invite, since, signal } = options;
    const path = { room: name };
    const before = await this.call('GET /v1/rooms/{room}', { path, signal }).catch(
      (error: unknown) => {
        // A private room is not seen before it is entered.
        if (asParlorError(error).code === 'not_found') return null;
        throw error;
      },
    );
    if (before && before.role !== null) return this.#follow(before, since ?? null, signal);
    await this.#api.join(name, 'me', invite, signal);
    const wire = await this.call('GET /v1/rooms/{room}', { path, signal });
    // Whoever enters has read what was there, so the marker says where that began.
    return this.#follow(wire, since ?? { epoch: wire.epoch, seq: wire.read_seq }, signal);
  }

  /** Says whether somebody is in front of this program; everything that is done says so too. */
  presence(status: ClientStatus): void {
    this.connection.notice({ op: 'presence', status });
  }

  /**
   * Sends a file, in parts that go on after a lost connection, and returns it as it became: give its
   * `id` to a message as one of `attachments`.
   */
  upload(name: string, content: Blob, options?: UploadOptions): Promise<Attachment> {
    return upload(this.#http, this.#ports, name, content, options);
  }

  /** Makes any call of the HTTP API; the operation is its method and path. */
  call<K extends OperationKey>(
    operation: K,
    ...options: CallArguments<K>
  ): Promise<Operations[K]['answer']> {
    return call(this.#http, operation, ...options);
  }

  /** Loops over a whole list, page by page, such as `GET /v1/rooms`. */
  all<K extends ListKey>(
    operation: K,
    ...options: CallArguments<K>
  ): AsyncGenerator<ItemOf<K>, void, undefined> {
    return listAll(this.#http, operation, ...options);
  }

  /** Ends the connection and all loops. The login stays. */
  close(): void {
    for (const room of [...this.#rooms.values()]) room.close();
    this.connection.stop();
  }

  async #follow(wire: Room, since: Cursor | null, signal?: AbortSignal): Promise<ParlorRoom> {
    const known = this.#rooms.get(wire.id);
    if (known) return known;
    // The position that the server told is the start: what happens until then is not missed.
    const room = new ParlorRoom(wire, since ?? { epoch: wire.epoch, seq: wire.seq }, {
      ports: this.#ports,
      api: this.#api,
      connection: this.connection,
      me: () => this.user?.id ?? '',
      ...(this.#options.outbox && { outbox: this.#options.outbox }),
      closed: (id) => this.#rooms.delete(id),
    });
    this.#rooms.set(wire.id, room);
    // Rooms are told of the connection when it opens; it may have opened for another one.
    if (this.state.phase === 'open') room.connected();
    try {
      await this.connect({ signal });
    } catch (error) {
      room.close();
      throw error;
    }
    return room;
  }

  #state(state: ConnectionState): void {
    for (const room of [...this.#rooms.values()]) {
      if (state.phase === 'open') room.connected();
      else if (state.phase === 'closed') room.close(state.error);
      else room.disconnected();
    }
    this.emit('state', state);
  }

  #frame(frame: ServerFrame): void {
    if ('room' in frame && typeof frame.room === 'string')
      this.#rooms.get(frame.room)?.receive(frame);
    this.emit('frame', frame);
  }
}
