import { expect, test } from 'vitest';

import { HttpClient } from '../src/http.js';
import type { Ports } from '../src/ports.js';
import type { Attachment } from '../src/types.js';
import { upload, type UploadOptions } from '../src/upload.js';
import { grant, reply, World } from './support/world.js';

const TEXT = 'ten bytes!';
const ATTACHMENT: Attachment = { id: 'f1', name: 'notes.txt', media_type: 'text/plain', bytes: 10 };

/** What happens to a part: how many bytes of it arrive, and whether the answer does. */
type Fate = { arrives: number; answered: boolean; refusal?: Response };

/** A server that keeps what arrives, on a network that does with each part what it is told. */
class Server {
  received = '';
  readonly parts: string[] = [];
  readonly pauses: number[] = [];
  readonly fates: Fate[] = [];
  /** The keys of the beginnings, of which the first ones are not answered. */
  readonly keys: unknown[] = [];
  lostBeginnings = 0;

  send(options?: UploadOptions): Promise<Attachment> {
    const ports: Ports = {
      ...new World().ports,
      fetch: (_url, init) => this.#fetch(init),
      timers: {
        now: () => 0,
        // The times after which requests are given up never come.
        setTimeout: (run, ms) => {
          if (ms < 20_000) {
            this.pauses.push(ms);
            queueMicrotask(run);
          }
        },
        clearTimeout: () => undefined,
      },
    };
    const http = new HttpClient('http://parlor.test', ports);
    http.vault.store(grant(1));
    return upload(http, ports, 'notes.txt', new Blob([TEXT]), options);
  }

  #state(): Response {
    const done = this.received.length === TEXT.length;
    const offset = this.received.length;
    return reply({ id: 'f1', name: 'notes.txt', bytes: 10, offset, ...(done && { attachment: ATTACHMENT }) });
  }

  async #fetch(init: RequestInit): Promise<Response> {
    if (init.method === 'POST') {
      this.keys.push((JSON.parse(init.body as string) as { client_id: unknown }).client_id);
      if (this.keys.length <= this.lostBeginnings) throw new TypeError('the connection was reset');
    }
    if (init.method !== 'PATCH') return this.#state();
    const part = await (init.body as Blob).text();
    const offset = Number((init.headers as Record<string, string>)['upload-offset']);
    this.parts.push(`${offset}:${part}`);
    const fate = this.fates.shift() ?? { arrives: part.length, answered: true };
    if (fate.refusal) return fate.refusal;
    if (offset !== this.received.length) {
      return reply({ code: 'conflict', detail: 'a wrong offset' }, 409);
    }
    this.received += part.slice(0, fate.arrives);
    if (!fate.answered) throw new TypeError('the connection was reset');
    return this.#state();
  }
}

test('a file goes in parts and tells how far it is', async () => {
  const server = new Server();
  const seen: number[] = [];
  const done = await server.send({ partBytes: 4, onProgress: (bytes) => seen.push(bytes) });
  expect(done).toEqual(ATTACHMENT);
  expect(server.parts).toEqual(['0:ten ', '4:byte', '8:s!']);
  expect(seen).toEqual([4, 8, 10]);
});

test('a beginning whose answer was lost is repeated under the same key', async () => {
  const server = new Server();
  server.lostBeginnings = 2;
  expect(await server.send()).toEqual(ATTACHMENT);
  expect(server.keys).toEqual(['id-1', 'id-1', 'id-1']);

  const dead = new Server();
  dead.lostBeginnings = 99;
  await expect(dead.send()).rejects.toMatchObject({ code: 'network' });
  expect(dead.keys).toHaveLength(9);
});

test('after a cut it goes on from what has arrived', async () => {
  const server = new Server();
  server.fates.push({ arrives: 3, answered: false }, { arrives: 0, answered: false });
  await server.send();
  expect(server.parts).toEqual(['0:ten bytes!', '3: bytes!', '3: bytes!']);
  expect(server.received).toBe(TEXT);
});

test('a part whose answer was lost is not sent again', async () => {
  const server = new Server();
  server.fates.push({ arrives: 10, answered: false });
  expect(await server.send()).toEqual(ATTACHMENT);
  expect(server.parts).toHaveLength(1);
});

test('a busy server is left the time that it asks for', async () => {
  const server = new Server();
  const refusal = reply({ code: 'unavailable', detail: 'busy' }, 503, { 'retry-after': '7' });
  server.fates.push({ arrives: 0, answered: true, refusal });
  await server.send();
  expect(server.pauses).toEqual([7_000]);
});

test('what cannot succeed is told at once, and a dead network after some attempts', async () => {
  const refused = new Server();
  const refusal = reply({ code: 'payload_too_large', detail: 'too many pixels' }, 413);
  refused.fates.push({ arrives: 0, answered: true, refusal });
  await expect(refused.send()).rejects.toMatchObject({ code: 'payload_too_large' });
  expect(refused.parts).toHaveLength(1);

  const dead = new Server();
  dead.fates.push(...Array.from({ length: 99 }, () => ({ arrives: 0, answered: false })));
  await expect(dead.send()).rejects.toMatchObject({ code: 'network' });
  expect(dead.parts).toHaveLength(9);
});

test('it is given up when the signal says so', async () => {
  const server = new Server();
  const abort = new AbortController();
  const sending = server.send({ partBytes: 4, signal: abort.signal, onProgress: () => abort.abort() });
  await expect(sending).rejects.toMatchObject({ name: 'AbortError' });
  expect(server.parts).toHaveLength(1);
});
