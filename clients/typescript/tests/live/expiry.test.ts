import { expect, test } from 'vitest';

import { register } from './stage.js';

/** Longer than an access token lives on this server. */
const LONG_MS = 15_000;

test('a connection and calls outlive the access token', async () => {
  const ada = await register('ada');
  const room = await ada.open('general');
  const states: string[] = [];
  ada.on('state', (state) => states.push(state.phase));
  const first = ada.vault.current()?.refresh_token;
  const messages = room.messages({ own: true });
  await new Promise((resolve) => setTimeout(resolve, LONG_MS));
  await room.send('still here');
  expect((await messages.next()).value?.body).toBe('still here');
  expect(ada.vault.current()?.refresh_token).not.toBe(first);
  expect((await ada.call('GET /v1/users/me')).username).toBe(ada.user?.username);
  expect(states).toEqual([]);
});

test('a connection whose token the server refuses is opened with a new one', async () => {
  const ada = await register('ada');
  const login = ada.vault.current()!;
  ada.vault.store({ ...login, token_type: 'bearer', expires_in: 900, access_token: 'not a token' });
  expect((await ada.connect()).user.id).toBe(ada.user?.id);
});

test('a token that the server refuses is renewed once, by many calls together', async () => {
  const ada = await register('ada');
  const login = ada.vault.current()!;
  ada.vault.store({ ...login, token_type: 'bearer', expires_in: 900, access_token: 'not a token' });
  const calls = [1, 2, 3, 4].map(() => ada.call('GET /v1/rooms', { query: { mine: true } }));
  for (const page of await Promise.all(calls)) expect(page.items.length).toBeGreaterThan(0);
});
