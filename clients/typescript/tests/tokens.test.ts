import { expect, test } from 'vitest';

import { HttpClient } from '../src/http.js';
import { settle } from './support/clock.js';
import { grant, QueueLocks, reply, SharedStorage, World } from './support/world.js';

const BASE = 'http://parlor.test';

function serve(world: World, state: { turn: number; spent: string[] }): HttpClient {
  world.on('POST /v1/auth/refresh', ({ body }) => {
    const token = String(body?.['refresh_token']);
    if (token !== `f${state.turn}`) {
      state.spent.push(token);
      return reply({ code: 'unauthenticated', detail: 'spent' }, 401);
    }
    state.turn += 1;
    return reply(grant(state.turn));
  });
  world.on('GET /v1/rooms', ({ token }) =>
    token === `a${state.turn}`
      ? reply({ items: [], next: null })
      : reply({ code: 'token_expired', detail: 'the token has ended' }, 401),
  );
  return new HttpClient(BASE, world.ports);
}

test('many requests with an ended token share one refresh', async () => {
  const world = new World();
  const state = { turn: 1, spent: [] };
  const http = serve(world, state);
  http.vault.store(grant(1, 0));
  const answers = await Promise.all([1, 2, 3, 4].map(() => http.json('GET', '/v1/rooms')));
  expect(answers).toHaveLength(4);
  expect(world.count('POST /v1/auth/refresh')).toBe(1);
  expect(state.spent).toEqual([]);
});

test('a request that the server refuses as expired is repeated once with a new token', async () => {
  const world = new World();
  const state = { turn: 2, spent: [] };
  const http = serve(world, state);
  http.vault.store({ ...grant(2), access_token: 'old' });
  await http.json('GET', '/v1/rooms');
  expect(world.calls.map((call) => call.token)).toEqual(['old', null, 'a3']);
});

test('two tabs never spend the same refresh token', async () => {
  const storage = new SharedStorage();
  const locks = new QueueLocks();
  const state = { turn: 1, spent: [] };
  const one = serve(new World({ storage, locks }), state);
  const two = serve(new World({ storage, locks }), state);
  one.vault.store(grant(1, 0));
  await Promise.all([one.json('GET', '/v1/rooms'), two.json('GET', '/v1/rooms')]);
  expect(state.turn).toBe(2);
  expect(state.spent).toEqual([]);
  expect(two.vault.current()?.refresh_token).toBe('f2');
});

test('a tab that lost the race without a lock adopts the pair of the other', async () => {
  const world = new World();
  const http = serve(world, { turn: 2, spent: [] });
  http.vault.store(grant(1, 0));
  world.on('POST /v1/auth/refresh', () => {
    world.ports.storage.setItem(
      'parlor.session',
      JSON.stringify({ ...http.vault.current(), ...grant(2), expires_at: world.clock.now() + 9e5 }),
    );
    return reply({ code: 'unauthenticated', detail: 'spent' }, 401);
  });
  expect(await http.vault.accessToken()).toBe('a2');
});

test('a refused refresh ends the login, an unreachable server does not', async () => {
  const world = new World();
  const http = serve(world, { turn: 9, spent: [] });
  const seen: unknown[] = [];
  http.vault.store(grant(1, 0));
  http.vault.onChange((login) => seen.push(login));
  const refused = world.routes.get('POST /v1/auth/refresh')!;
  world.on('POST /v1/auth/refresh', () => Promise.reject(new TypeError('offline')));
  await expect(http.vault.accessToken()).rejects.toMatchObject({ code: 'network' });
  expect(http.vault.current()).not.toBeNull();
  world.on('POST /v1/auth/refresh', refused);
  await expect(http.vault.accessToken()).rejects.toMatchObject({ code: 'unauthenticated' });
  expect(http.vault.current()).toBeNull();
  expect(seen).toEqual([null]);
});

test('logging out in one tab is heard in the other', async () => {
  const storage = new SharedStorage();
  const one = serve(new World({ storage }), { turn: 1, spent: [] });
  const two = serve(new World({ storage }), { turn: 1, spent: [] });
  one.vault.store(grant(1));
  let heard: unknown = 'nothing';
  two.vault.onChange((login) => (heard = login));
  one.vault.clear();
  await settle();
  expect(heard).toBeNull();
});
