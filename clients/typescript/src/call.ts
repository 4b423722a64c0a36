/** Any call of the HTTP API by its method and path or its name, typed from the published specs. */

import { OPERATION_NAMES } from './generated/names.js';
import type { HttpClient } from './http.js';
import type { Operations, RawBody } from './types.js';

export type OperationKey = keyof Operations;

/** What one call takes; `path`, `query` and `body` only where the operation has them. */
export type CallOptions<K extends OperationKey> = Part<'path', Operations[K]['path']> &
  Part<'query', Operations[K]['query']> &
  Part<'body', Operations[K]['body']> & {
    headers?: Record<string, string>;
    signal?: AbortSignal | undefined;
    /** 0 waits without limit. */
    timeoutMs?: number;
    /** False for calls that need no login. */
    auth?: boolean;
  };

type Part<Name extends string, T> = [T] extends [undefined]
  ? unknown
  : undefined extends T
    ? { [N in Name]?: T }
    : keyof T extends never
      ? unknown
      : Nothing extends T
        ? { [N in Name]?: T }
        : { [N in Name]: T };
type Nothing = Record<never, never>;

/** Options may be left out where nothing in them is needed. */
export type CallArguments<K extends OperationKey> =
  Nothing extends CallOptions<K> ? [options?: CallOptions<K>] : [options: CallOptions<K>];

interface Loose {
  path?: Record<string, string | number>;
  query?: Record<string, string | number | boolean | undefined>;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
  timeoutMs?: number;
  auth?: boolean;
}

/** Makes a call and returns its decoded answer; the `Response` itself where that is not JSON. */
export async function call<K extends OperationKey>(
  http: HttpClient,
  operation: K,
  ...[options]: CallArguments<K>
): Promise<Operations[K]['answer']> {
  const [method = 'GET', template = '/'] = operation.split(' ');
  const { path = {}, body, ...rest } = (options ?? {}) as Loose;
  const address = template.replace(/\{(\w+)\}/g, (_, name: string) => {
    return encodeURIComponent(String(path[name] ?? ''));
  });
  const sent = isRaw(body) ? { raw: body } : { body };
  const response = await http.send(method, address, { ...rest, ...sent });
  const type = response.headers.get('content-type') ?? '';
  if (response.status === 204 || !type) return undefined as Operations[K]['answer'];
  const isJson = /^application\/(\w+\+)?json\b/.test(type);
  return (isJson ? await http.decode(response) : response) as Operations[K]['answer'];
}

function isRaw(body: unknown): body is RawBody {
  return typeof body === 'string' || body instanceof Blob || body instanceof Uint8Array;
}

type Names = typeof OPERATION_NAMES;

/** Every call as a method of its own. */
export type Calls = {
  readonly [Name in keyof Names]: (
    ...options: CallArguments<Names[Name]>
  ) => Promise<Operations[Names[Name]]['answer']>;
};

/** Returns every call as a method. */
export function callsOf(http: HttpClient): Calls {
  const methods = Object.entries(OPERATION_NAMES).map(([name, operation]) => {
    return [name, (options?: object) => call(http, operation, options as never)];
  });
  return Object.fromEntries(methods) as Calls;
}

/** The calls that answer with one page of a list. */
export type ListKey = {
  [K in OperationKey]: Operations[K]['answer'] extends { items: unknown[] } ? K : never;
}[OperationKey];

export type ItemOf<K extends ListKey> = Operations[K]['answer'] extends { items: (infer T)[] }
  ? T
  : never;

/** Loops over a whole list, page by page. */
export async function* listAll<K extends ListKey>(
  http: HttpClient,
  operation: K,
  ...[options]: CallArguments<K>
): AsyncGenerator<ItemOf<K>, void, undefined> {
  const given = (options ?? {}) as Loose;
  let cursor: string | null | undefined;
  do {
    const query = { ...given.query, ...(cursor && { cursor }) };
    const page = (await call(http, operation, { ...given, query } as never)) as {
      items: ItemOf<K>[];
      next?: string | null;
    };
    yield* page.items;
    cursor = page.next;
  } while (cursor);
}
