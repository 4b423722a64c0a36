/**
 * A made-up server and browser for the tests: scripted HTTP, sockets whose server end the test
 * holds, storage that two "tabs" can share, and a manual clock.
 */

import type { KeyValueStore, Locks, Ports, SocketLike } from '../../src/ports.js';
import type { Limits, Message, ServerFrame, User, UserRef } from '../../src/types.js';
import { ManualClock, settle } from './clock.js';

export const ME: UserRef = { id: 'u1', username: 'ada', display_name: 'Ada', kind: 'user' };
export const BOT: UserRef = { id: 'b1', username: 'guide', display_name: 'Guide', kind: 'bot' };
export const ROOM = 'r1';
const NO_USAGE = { prompt_tokens: 0, completion_tokens: 0, estimated: true };
const SINCE = '2026-01-01T00:00:00.000Z';

type Sent = Record<string, unknown> & { op: string; id?: string };

export class FakeSocket implements SocketLike {
  onopen: SocketLike['onopen'] = null;
  onerror: SocketLike['onerror'] = null;
  onmessage: SocketLike['onmessage'] = null;
  onclose: SocketLike['onclose'] = null;
  readonly sent: Sent[] = [];
  closedWith: number | undefined;
  answersPings = true;

  constructor(
    readonly url: string,
    readonly protocol: string,
    private readonly world: { limits: Partial<Limits> },
  ) {}

  send(text: string): void {
    const frame = JSON.parse(text) as Sent;
    this.sent.push(frame);
    if (frame.op === 'ping' && this.answersPings) this.onmessage?.({ data: '{"op":"pong"}' });
  }

  close(code?: number): void {
    this.closedWith = code;
  }

  /** The server says something. */
  async says(...frames: ServerFrame[]): Promise<void> {
    for (const frame of frames) {
      this.onmessage?.({ data: JSON.stringify(frame) });
      await settle();
    }
  }

  /** The server, or the network, ends the connection. */
  async ends(code: number): Promise<void> {
    this.onclose?.({ code, reason: '' });
    await settle();
  }

  async welcomes(): Promise<void> {
    this.onopen?.();
    const limits = { subscriptions: 200, ...this.world.limits } as Limits;
    const rest = { node: 'n1', heartbeat_ms: 25_000, limits };
    await this.says({ op: 'welcome', session: 's1', user: ME, ...rest });
  }

  all(op: string): Sent[] {
    return this.sent.filter((frame) => frame.op === op);
  }

  last(op: string): Sent {
    const frame = this.all(op).at(-1);
    if (!frame) throw new Error(`the client sent no ${op}`);
    return frame;
  }
}

export class SharedStorage {
  readonly #values = new Map<string, string>();
  readonly #tabs: { store: KeyValueStore; listener: (key: string | null) => void }[] = [];

  /** Returns the storage as one tab sees it; other tabs hear of its writes. */
  tab(): { store: KeyValueStore; listen: (listener: (key: string | null) => void) => void } {
    const store: KeyValueStore = {
      getItem: (key) => this.#values.get(key) ?? null,
      setItem: (key, value) => {
        this.#values.set(key, value);
        this.#tell(store, key);
      },
      removeItem: (key) => {
        this.#values.delete(key);
        this.#tell(store, key);
      },
    };
    return { store, listen: (listener) => this.#tabs.push({ store, listener }) };
  }

  #tell(from: KeyValueStore, key: string): void {
    for (const tab of this.#tabs) if (tab.store !== from) tab.listener(key);
  }
}

/** Locks that all tabs share. */
export class QueueLocks implements Locks {
  #tail: Promise<unknown> = Promise.resolve();

  run<T>(_name: string, body: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(body, body);
    this.#tail = result.catch(() => undefined);
    return result;
  }
}

export interface HttpCall {
  method: string;
  path: string;
  query: URLSearchParams;
  body: Record<string, unknown> | null;
  token: string | null;
}

export type Responder = (call: HttpCall) => Response | Promise<Response>;

export function reply(body: unknown, status = 200, headers: Record<string, string> = {}): Response {
  const init = { status, headers: { 'content-type': 'application/json', ...headers } };
  return new Response(status === 204 ? null : JSON.stringify(body), init);
}

export class World {
  readonly clock = new ManualClock();
  readonly sockets: FakeSocket[] = [];
  readonly calls: HttpCall[] = [];
  readonly routes = new Map<string, Responder>();
  readonly storage: SharedStorage;
  readonly ports: Ports;
  /** What the back-off draws; close to 1 gives the ceiling. */
  chance = 0.5;
  /** What servers tell of their limits. */
  limits: Partial<Limits> = {};
  #uuids = 0;
  #tickets = 0;

  constructor(shared: { storage?: SharedStorage; locks?: Locks; name?: string } = {}) {
    this.storage = shared.storage ?? new SharedStorage();
    const tab = this.storage.tab();
    this.ports = {
      fetch: (url, init) => this.#fetch(url, init),
      openSocket: (url, protocol) => {
        const socket = new FakeSocket(url, protocol, this);
        this.sockets.push(socket);
        return socket;
      },
      timers: this.clock,
      storage: tab.store,
      onStorage: tab.listen,
      locks: shared.locks ?? new QueueLocks(),
      random: () => this.chance,
      uuid: () => `${shared.name ?? 'id'}-${++this.#uuids}`,
    };
    this.on('POST /v1/auth/ws-ticket', () =>
      reply({ ticket: `t${++this.#tickets}`, expires_in: 30 }),
    );
  }

  on(route: string, responder: Responder): void {
    this.routes.set(route, responder);
  }

  count(route: string): number {
    return this.calls.filter((call) => `${call.method} ${call.path}` === route).length;
  }

  /** Returns the newest socket. */
  get socket(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (!socket) throw new Error('no socket was opened');
    return socket;
  }

  async #fetch(url: string, init: RequestInit): Promise<Response> {
    const { pathname: path, searchParams: query } = new URL(url);
    const method = init.method ?? 'GET';
    const headers = init.headers as Record<string, string>;
    const token = headers['authorization']?.replace('Bearer ', '') ?? null;
    const body = init.body ? (JSON.parse(String(init.body)) as Record<string, unknown>) : null;
    const call = { method, path, query, body, token };
    this.calls.push(call);
    const responder = this.routes.get(`${method} ${path}`);
    if (!responder) return reply({ code: 'not_found', detail: 'no such route' }, 404);
    return responder(call);
  }
}

export function grant(n: number, expires_in = 900) {
  const user: User = { ...ME, role: 'user', visibility: 'public', created_at: SINCE };
  return { user, access_token: `a${n}`, token_type: 'bearer', expires_in, refresh_token: `f${n}` };
}

export function message(seq: number, change: Partial<Message> = {}): Message {
  return {
    id: `m${seq}`,
    room: ROOM,
    seq,
    sender: ME,
    client_id: null,
    body: `text ${seq}`,
    status: 'complete',
    created_at: '2026-01-01T00:00:00.000Z',
    ...change,
  };
}

export function created(seq: number, change: Partial<Message> = {}): ServerFrame {
  const at = '2026-01-01T00:00:00.000Z';
  const data = message(seq, change);
  return { op: 'event', room: ROOM, seq, type: 'message.created', at, actor: data.sender, data };
}

export function streamingReply(seq: number): ServerFrame {
  const bot = { trigger: 'm1', provider: 'demo', model: 'demo' };
  return created(seq, { sender: BOT, body: '', status: 'streaming', bot });
}

export function completed(seq: number, id: string, body: string): ServerFrame {
  const at = '2026-01-01T00:00:01.000Z';
  const data = { message: id, body, status: 'completed' as const, usage: NO_USAGE };
  return { op: 'event', room: ROOM, seq, type: 'message.completed', at, actor: BOT, data };
}

export function delta(id: string, turn: number, chunk: number, text: string): ServerFrame {
  const data = { message: id, turn, chunk, text };
  return { op: 'signal', room: ROOM, type: 'message.delta', data };
}
