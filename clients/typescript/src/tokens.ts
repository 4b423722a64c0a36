/**
 * The tokens of one login, shared by all tabs of a browser.
 *
 * A refresh token works once, and using a spent one ends the session. So at most one refresh is
 * under way at a time: within a tab by sharing the promise, between tabs by a lock, under which
 * the storage is read again, because another tab may have refreshed meanwhile.
 */

import { ParlorError } from './errors.js';
import { Notifier, type Unsubscribe } from './notifier.js';
import type { Ports } from './ports.js';
import type { TokenGrant, User } from './types.js';

const KEY = 'parlor.session';
/** A token that ends within this time, or a third of its life, is renewed before it is used. */
const LEEWAY_MS = 15_000;
/** The last moment that a date can name. */
const NEVER = 8.64e15;

export interface Login {
  access_token: string;
  refresh_token: string;
  /** When the access token ends, by this device's clock. */
  expires_at: number;
  /** How long it lives in all. */
  lives_ms?: number;
  user: User;
}

export type Refresher = (refreshToken: string) => Promise<TokenGrant>;

export class TokenVault {
  readonly #changes = new Notifier<Login | null>();
  #inFlight: Promise<Login> | null = null;
  #raw: string | null = null;
  #parsed: Login | null = null;

  constructor(
    private readonly ports: Ports,
    private readonly refresher: Refresher,
  ) {
    this.ports.onStorage((key) => {
      if (key === KEY || key === null) this.#changes.emit(this.current());
    });
  }

  /** Calls back with the new login, or null after logout, whichever tab did it. */
  onChange(listener: (login: Login | null) => void): Unsubscribe {
    return this.#changes.on(listener);
  }

  /** Returns what is stored now. The storage is the truth; nothing is held beside it. */
  current(): Login | null {
    const raw = this.ports.storage.getItem(KEY);
    if (raw !== this.#raw) {
      this.#raw = raw;
      this.#parsed = parseLogin(raw);
    }
    return this.#parsed;
  }

  /** Stores a new pair. A refresh answer may leave out the user; the known one is kept. */
  store(grant: TokenGrant): Login {
    const user = grant.user ?? this.current()?.user;
    if (!user) throw new ParlorError('internal', 'the server did not say who logged in');
    const lives_ms = grant.expires_in * 1000;
    const login: Login = {
      access_token: grant.access_token,
      refresh_token: grant.refresh_token,
      expires_at: this.ports.timers.now() + lives_ms,
      lives_ms,
      user,
    };
    this.ports.storage.setItem(KEY, JSON.stringify(login));
    this.#changes.emit(login);
    return login;
  }

  /** Holds a token that lives long and cannot be renewed. */
  hold(token: string, user: User): void {
    const login: Login = { access_token: token, refresh_token: '', expires_at: NEVER, user };
    this.ports.storage.setItem(KEY, JSON.stringify(login));
    this.#changes.emit(login);
  }

  clear(): void {
    if (this.ports.storage.getItem(KEY) === null) return;
    this.ports.storage.removeItem(KEY);
    this.#changes.emit(null);
  }

  /** Returns an access token that still lives for a while. */
  async accessToken(): Promise<string> {
    const login = this.current();
    if (!login) throw signedOut();
    if (this.#isFresh(login)) return login.access_token;
    return (await this.refresh(login.access_token)).access_token;
  }

  /**
   * Replaces the access token `spent`, unless that has happened already.
   *
   * Throws `unauthenticated` and forgets the login when the server refuses; keeps it when the
   * server cannot be reached.
   */
  refresh(spent: string): Promise<Login> {
    this.#inFlight ??= this.ports.locks
      .run('parlor.refresh', () => this.#rotate(spent))
      .finally(() => {
        this.#inFlight = null;
      });
    return this.#inFlight;
  }

  async #rotate(spent: string): Promise<Login> {
    const login = this.current();
    if (!login) throw signedOut();
    if (login.access_token !== spent && this.#isFresh(login)) return login;
    if (!login.refresh_token) throw signedOut();
    try {
      return this.store(await this.refresher(login.refresh_token));
    } catch (error) {
      if (!(error instanceof ParlorError) || error.status !== 401) throw error;
      const now = this.current();
      if (now && now.refresh_token !== login.refresh_token) return now;
      this.clear();
      throw signedOut();
    }
  }

  #isFresh(login: Login): boolean {
    const leeway = Math.min(LEEWAY_MS, (login.lives_ms ?? Infinity) / 3);
    return login.expires_at - this.ports.timers.now() > leeway;
  }
}

function signedOut(): ParlorError {
  return new ParlorError('unauthenticated', 'log in again to go on', { status: 401 });
}

function parseLogin(raw: string | null): Login | null {
  if (!raw) return null;
  try {
    const login = JSON.parse(raw) as Partial<Login>;
    const complete = login.access_token && login.expires_at && login.user;
    return complete ? (login as Login) : null;
  } catch {
    return null;
  }
}
