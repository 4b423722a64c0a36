/**
 * One WebSocket to Parlor that keeps itself alive.
 *
 * Gets a ticket, connects, waits for `welcome`, answers silence with a heartbeat, renews its token
 * before it ends, and comes back by itself: close codes 4500–4999 are final, all others mean
 * "reconnect". It delivers frames in order and correlates answers; it knows nothing of rooms.
 * Commands that had no answer when the connection ended fail with `closed` and are never repeated
 * here; what may be repeated is the caller's business.
 */

import { Answers, type Answer } from './answers.js';
import { backoffMs } from './backoff.js';
import {
  BAD_FRAME,
  closeText,
  HEARTBEAT_TIMEOUT,
  mayReconnect,
  TOKEN_EXPIRED,
  UNAUTHENTICATED,
} from './close-codes.js';
import { asParlorError, ParlorError } from './errors.js';
import { Notifier } from './notifier.js';
import { isTooLarge, open, type ConnectionOptions, type Opened } from './opening.js';
import type { Ports, SocketLike } from './ports.js';
import { TimerSet } from './timer-set.js';
import type { Command, ErrorFrame, Notice, ServerFrame, WelcomeFrame } from './types.js';

const WELCOME_TIMEOUT_MS = 12_000;
/** A connection that lasted this long ends the count of failed attempts. */
const STABLE_MS = 5_000;
/** A token is renewed this long before its end, or half of its life if that is shorter. */
const RENEW_EARLY_MS = 60_000;
const RENEW_AGAIN_MS = 5_000;

export type ConnectionState =
  | { phase: 'idle' }
  | { phase: 'connecting'; attempt: number }
  | { phase: 'open'; welcome: WelcomeFrame }
  | { phase: 'waiting'; attempt: number; retryAt: number; reason: string }
  | { phase: 'closed'; code: number; error: ParlorError };

export class Connection {
  readonly onState = new Notifier<ConnectionState>();
  readonly onFrame = new Notifier<ServerFrame>();
  state: ConnectionState = { phase: 'idle' };

  readonly #ports: Ports;
  readonly #timers: TimerSet<'retry' | 'heartbeat' | 'renew' | 'welcome' | 'drain'>;
  readonly #answers: Answers;
  #socket: SocketLike | null = null;
  #nextId = 1;
  #attempt = 0;
  /** Grows with each attempt; what belongs to an older one is ignored. */
  #generation = 0;
  #openedAt: number | null = null;
  #heardAt = 0;
  #pingedAt: number | null = null;
  /** The server does not want to be asked before this time. */
  #notBefore = 0;
  #drainAt: number | null = null;
  #renewedProof = false;

  constructor(private readonly options: ConnectionOptions) {
    this.#ports = options.ports;
    this.#timers = new TimerSet(options.ports.timers);
    this.#answers = new Answers(options.ports.timers);
    options.vault.onChange((login) => {
      if (login && this.state.phase === 'open') void this.#sendToken(login.access_token);
    });
  }

  /** Starts, also again after a final close. Does nothing while connected or connecting. */
  start(): void {
    if (this.state.phase === 'open' || this.state.phase === 'connecting') return;
    this.#attempt = 0;
    void this.#connect();
  }

  /** Ends the connection and stays away until `start`. */
  stop(): void {
    this.#leave(1000);
    this.#setState({ phase: 'idle' });
  }

  /** Tries again at once unless the server asked for patience; for "the device is online again". */
  wake(): void {
    if (this.state.phase === 'open') this.#ping();
    else if (this.state.phase === 'waiting' && this.#notBefore <= this.#now()) void this.#connect();
  }

  /**
   * Sends a command. The id is known before the answer, so that a caller can recognize the answer
   * in the stream of frames, in its order.
   */
  command(command: Command): { id: string; answer: Promise<Answer> } {
    const id = String(this.#nextId++);
    if (this.state.phase !== 'open' || !this.#socket) {
      const refused = new ParlorError('closed', 'there is no connection');
      return { id, answer: Promise.reject(refused) };
    }
    const frame = JSON.stringify({ ...command, id });
    if (isTooLarge(frame, this.state.welcome)) {
      // The server would end the connection over it, for good.
      const refused = new ParlorError('payload_too_large', 'this is larger than a frame may be');
      return { id, answer: Promise.reject(refused) };
    }
    const answer = this.#answers.expect(id);
    this.#socket.send(frame);
    return { id, answer };
  }

  /** Sends what needs no answer; does nothing when there is no connection or it is too large. */
  notice(notice: Notice): void {
    if (this.state.phase !== 'open') return;
    const frame = JSON.stringify(notice);
    if (!isTooLarge(frame, this.state.welcome)) this.#socket?.send(frame);
  }

  async #connect(): Promise<void> {
    this.#leave(1000);
    const generation = this.#generation;
    this.#setState({ phase: 'connecting', attempt: this.#attempt });
    let opened: Opened;
    try {
      opened = await open(this.options);
    } catch (error) {
      if (generation === this.#generation) this.#refused(asParlorError(error));
      return;
    }
    const { socket, hello } = opened;
    // Without a listener a failed connection would end a program in Node.
    socket.onerror = () => undefined;
    if (generation !== this.#generation) {
      socket.close(1000);
      return;
    }
    this.#socket = socket;
    socket.onopen = hello && (() => socket.send(JSON.stringify(hello)));
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = (event) => this.#closed(event.code);
    this.#timers.set('welcome', WELCOME_TIMEOUT_MS, () => this.#closed(HEARTBEAT_TIMEOUT));
  }

  /** The ticket or a new token was not given. Only a refused login is final. */
  #refused(error: ParlorError): void {
    if (error.status === 401) this.#setState({ phase: 'closed', code: UNAUTHENTICATED, error });
    else if (error.code === 'unsupported')
      this.#setState({ phase: 'closed', code: BAD_FRAME, error });
    else this.#retry(error.detail, error.retryAfterMs ?? 0);
  }

  #receive(data: unknown): void {
    this.#heardAt = this.#now();
    let frame: ServerFrame;
    try {
      frame = JSON.parse(String(data)) as ServerFrame;
    } catch {
      return;
    }
    if (frame.op === 'welcome') this.#welcomed(frame);
    else if (frame.op === 'drain') this.#drain(frame.reconnect_in_ms);
    else if (frame.op === 'error' && !frame.re) this.#complaint(frame);
    this.onFrame.emit(frame);
    this.#answers.settle(frame);
  }

  #welcomed(welcome: WelcomeFrame): void {
    this.#timers.clear('welcome');
    this.#openedAt = this.#now();
    this.#pingedAt = null;
    this.#renewedProof = false;
    this.#setState({ phase: 'open', welcome });
    this.#scheduleHeartbeat(Math.max(1_000, welcome.heartbeat_ms));
    this.#scheduleRenewal();
  }

  /** An error that answers no command says something about the connection itself. */
  #complaint(frame: ErrorFrame): void {
    if (frame.retry_after_ms) this.#notBefore = this.#now() + frame.retry_after_ms;
    if (frame.code === 'token_expired') this.#renew();
  }

  /** The node goes away: stay until the time it gave, then connect to whichever answers. */
  #drain(inMs: number): void {
    this.#drainAt = this.#now() + inMs;
    this.#timers.set('drain', inMs, () => {
      this.#attempt = 0;
      void this.#connect();
    });
  }

  #scheduleHeartbeat(everyMs: number): void {
    this.#timers.set('heartbeat', everyMs, () => {
      // Judged by the answer to our own ping: timers of a hidden tab run late, frames do not.
      if (this.#pingedAt !== null && this.#heardAt < this.#pingedAt) {
        this.#closed(HEARTBEAT_TIMEOUT);
        return;
      }
      this.#ping();
      this.#scheduleHeartbeat(everyMs);
    });
  }

  #ping(): void {
    this.#pingedAt = this.#now();
    this.notice({ op: 'ping' });
  }

  #scheduleRenewal(): void {
    const login = this.options.vault.current();
    if (!login?.refresh_token) return;
    const left = login.expires_at - this.#now();
    const early = Math.min(RENEW_EARLY_MS, (login.lives_ms ?? left) / 2);
    this.#timers.set('renew', Math.max(1_000, left - early), () => this.#renew());
  }

  /** Renews the token; the vault's change then sends it to the server. */
  #renew(): void {
    const login = this.options.vault.current();
    if (!login) return;
    this.options.vault.refresh(login.access_token).catch((error: unknown) => {
      if (asParlorError(error).signedOut || this.state.phase !== 'open') return;
      this.#timers.set('renew', RENEW_AGAIN_MS, () => this.#renew());
    });
  }

  async #sendToken(token: string): Promise<void> {
    const generation = this.#generation;
    try {
      await this.command({ op: 'refresh', token }).answer;
      if (generation === this.#generation) this.#scheduleRenewal();
    } catch {
      // Whatever the reason, a new connection with a new ticket settles it.
      if (generation === this.#generation) this.#closed(TOKEN_EXPIRED);
    }
  }

  #closed(code: number): void {
    const neverOpen = this.#openedAt === null;
    const lasted = this.#openedAt === null ? 0 : this.#now() - this.#openedAt;
    if (lasted >= STABLE_MS) this.#attempt = 0;
    const drainAt = this.#drainAt;
    this.#leave(1000);
    // A token that this device takes for fresh can have ended by the server's clock.
    const mayRenew = code === UNAUTHENTICATED && neverOpen && this.#mayRenewProof();
    if (!mayReconnect(code) && !mayRenew) {
      const name = code === UNAUTHENTICATED ? 'unauthenticated' : 'closed';
      this.#setState({ phase: 'closed', code, error: new ParlorError(name, closeText(code)) });
    } else if (code === TOKEN_EXPIRED || mayRenew) {
      void this.#renewThenConnect();
    } else if (drainAt !== null) {
      this.#wait(Math.max(0, drainAt - this.#now()), closeText(4000));
    } else {
      this.#retry(closeText(code), Math.max(0, this.#notBefore - this.#now()));
    }
  }

  /** Once between two connections, where the token itself was the proof. */
  #mayRenewProof(): boolean {
    if (this.options.proof !== 'hello' || this.#renewedProof) return false;
    this.#renewedProof = true;
    return true;
  }

  async #renewThenConnect(): Promise<void> {
    const login = this.options.vault.current();
    const generation = this.#generation;
    this.#setState({ phase: 'connecting', attempt: this.#attempt });
    try {
      if (login) await this.options.vault.refresh(login.access_token);
    } catch (error) {
      if (generation === this.#generation) this.#refused(asParlorError(error));
      return;
    }
    if (generation !== this.#generation) return;
    // The first time at once; a server that keeps saying "expired" is not hammered.
    if (this.#attempt > 0) {
      this.#retry(closeText(TOKEN_EXPIRED), 0);
      return;
    }
    this.#attempt = 1;
    void this.#connect();
  }

  #retry(reason: string, atLeastMs: number): void {
    this.#notBefore = this.#now() + atLeastMs;
    this.#wait(Math.max(backoffMs(this.#attempt, this.#ports), atLeastMs), reason);
  }

  #wait(ms: number, reason: string): void {
    this.#attempt += 1;
    this.#timers.set('retry', ms, () => void this.#connect());
    const retryAt = this.#now() + ms;
    this.#setState({ phase: 'waiting', attempt: this.#attempt, retryAt, reason });
  }

  /** Makes everything of the present attempt void: timers, waiting answers, late callbacks. */
  #leave(code: number): void {
    this.#generation += 1;
    this.#timers.clearAll();
    this.#openedAt = null;
    this.#drainAt = null;
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close(code);
    }
    this.#answers.abandon();
  }

  #now(): number {
    return this.#ports.timers.now();
  }

  #setState(state: ConnectionState): void {
    this.state = state;
    this.onState.emit(state);
  }
}
