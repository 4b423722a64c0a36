/**
 * HTTP with problem+json errors and access tokens.
 *
 * A request that is refused because its token has ended is repeated once with a new one.
 */

import { errorFromResponse, ParlorError } from './errors.js';
import type { Ports } from './ports.js';
import { TokenVault } from './tokens.js';
import type { RawBody, TokenGrant } from './types.js';

const TIMEOUT_MS = 20_000;

export interface RequestOptions {
  body?: unknown;
  /** A body that is not JSON. */
  raw?: RawBody;
  query?: Record<string, string | number | boolean | undefined>;
  /** False for calls that need no login. */
  auth?: boolean;
  headers?: Record<string, string>;
  /** 0 waits without limit, for downloads. */
  timeoutMs?: number;
  signal?: AbortSignal | undefined;
}

export class HttpClient {
  readonly vault: TokenVault;

  constructor(
    private readonly base: string,
    private readonly ports: Ports,
  ) {
    this.vault = new TokenVault(ports, (refresh_token) =>
      this.json<TokenGrant>('POST', '/v1/auth/refresh', { body: { refresh_token }, auth: false }),
    );
  }

  /** Returns the decoded answer; undefined for an empty one. */
  async json<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
    const response = await this.send(method, path, options);
    if (response.status === 204) return undefined as T;
    return (await this.decode(response)) as T;
  }

  /** Returns the JSON of a response. */
  async decode(response: Response): Promise<unknown> {
    try {
      return await response.json();
    } catch {
      throw new ParlorError('network', 'the answer was cut off or is not JSON');
    }
  }

  /** Returns the response of a successful request. */
  async send(method: string, path: string, options: RequestOptions = {}): Promise<Response> {
    if (options.auth === false) return this.#attempt(method, path, options, null);
    const token = await this.vault.accessToken();
    try {
      return await this.#attempt(method, path, options, token);
    } catch (error) {
      if (!(error instanceof ParlorError) || error.status !== 401) throw error;
      const login = await this.vault.refresh(token);
      return this.#attempt(method, path, options, login.access_token);
    }
  }

  async #attempt(
    method: string,
    path: string,
    options: RequestOptions,
    token: string | null,
  ): Promise<Response> {
    const headers: Record<string, string> = { accept: 'application/json', ...options.headers };
    if (token) headers['authorization'] = `Bearer ${token}`;
    const init: RequestInit = { method, headers, cache: 'no-store', credentials: 'omit' };
    if (options.raw !== undefined) {
      headers['content-type'] ??= 'application/octet-stream';
      init.body = options.raw;
    } else if (options.body !== undefined) {
      headers['content-type'] = 'application/json';
      init.body = JSON.stringify(options.body);
    }
    const response = await this.#fetch(this.#url(path, options.query), init, options);
    if (!response.ok) throw await errorFromResponse(response, this.ports.timers.now());
    return response;
  }

  async #fetch(url: string, init: RequestInit, options: RequestOptions): Promise<Response> {
    const { signal, timeoutMs = TIMEOUT_MS } = options;
    signal?.throwIfAborted();
    const abort = new AbortController();
    let late = false;
    const timer =
      timeoutMs > 0
        ? this.ports.timers.setTimeout(() => {
            late = true;
            abort.abort();
          }, timeoutMs)
        : null;
    const giveUp = () => abort.abort();
    signal?.addEventListener('abort', giveUp);
    try {
      return await this.ports.fetch(url, { ...init, signal: abort.signal });
    } catch {
      signal?.throwIfAborted();
      if (late) throw new ParlorError('timeout', 'the server did not answer in time');
      throw new ParlorError('network', 'the server cannot be reached');
    } finally {
      if (timer !== null) this.ports.timers.clearTimeout(timer);
      signal?.removeEventListener('abort', giveUp);
    }
  }

  #url(path: string, query: RequestOptions['query'] = {}): string {
    const params = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) params.set(name, String(value));
    }
    const text = params.toString();
    return `${this.base}${path}${text ? `?${text}` : ''}`;
  }
}
