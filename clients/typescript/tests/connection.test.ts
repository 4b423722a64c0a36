import { beforeEach, expect, test } from 'vitest';

import { Connection, type ConnectionState } from '../src/connection.js';
import { HttpClient } from '../src/http.js';
import { settle } from './support/clock.js';
import { grant, reply, World } from './support/world.js';

let world: World;
let http: HttpClient;
let connection: Connection;
let states: ConnectionState[];

function phase(): string {
  return connection.state.phase;
}

async function open(): Promise<void> {
  connection.start();
  await settle();
  await world.socket.welcomes();
}

beforeEach(() => {
  world = new World();
  http = new HttpClient('http://parlor.test', world.ports);
  http.vault.store(grant(1));
  states = [];
  connection = new Connection({
    url: 'ws://parlor.test/v1/ws',
    ports: world.ports,
    vault: http.vault,
    ticket: () => http.json('POST', '/v1/auth/ws-ticket'),
  });
  connection.onState.on((state) => states.push(state));
});

test('a connection brings a fresh ticket and the subprotocol, and is open after welcome', async () => {
  connection.start();
  await settle();
  expect(world.socket.url).toBe('ws://parlor.test/v1/ws?ticket=t1');
  expect(world.socket.protocol).toBe('parlor.v1');
  expect(phase()).toBe('connecting');
  await world.socket.welcomes();
  expect(phase()).toBe('open');
});

test('a lost connection comes back with a new ticket after a jittered delay that doubles', async () => {
  world.chance = 0.999;
  await open();
  const delays: number[] = [];
  for (let n = 0; n < 8; n += 1) {
    await world.socket.ends(1006);
    const state = connection.state;
    if (state.phase !== 'waiting') throw new Error('not waiting');
    delays.push(Math.round((state.retryAt - world.clock.now()) / 100) / 10);
    await world.clock.advance(state.retryAt - world.clock.now());
  }
  expect(delays).toEqual([0.5, 1, 2, 4, 8, 16, 30, 30]);
  expect(world.socket.url).toContain('ticket=t9');
});

test('a connection that lasted starts the back-off anew', async () => {
  world.chance = 0.999;
  await open();
  await world.socket.ends(1006);
  await world.clock.advance(1000);
  await world.socket.welcomes();
  await world.clock.advance(6000);
  await world.socket.ends(1006);
  expect(connection.state).toMatchObject({ phase: 'waiting', attempt: 1 });
});

test('a drain is obeyed at its time, whether the server closes before or not', async () => {
  await open();
  await world.socket.says({ op: 'drain', reconnect_in_ms: 8200 });
  await world.clock.advance(8100);
  expect(world.sockets).toHaveLength(1);
  expect(phase()).toBe('open');
  await world.clock.advance(100);
  expect(world.sockets).toHaveLength(2);
  await world.socket.welcomes();

  await world.socket.says({ op: 'drain', reconnect_in_ms: 4000 });
  await world.clock.advance(1000);
  await world.socket.ends(4000);
  await world.clock.advance(2900);
  expect(world.sockets).toHaveLength(2);
  await world.clock.advance(100);
  expect(world.sockets).toHaveLength(3);
});

test.each([4001, 4002, 4003, 4499, 1001, 1006, 1011])('%i reconnects', async (code) => {
  await open();
  await world.socket.ends(code);
  expect(phase()).toBe('waiting');
  await world.clock.advance(500);
  expect(world.sockets).toHaveLength(2);
});

test.each([4500, 4501, 4503, 4509, 4513, 4529, 4999])('%i is final', async (code) => {
  await open();
  await world.socket.ends(code);
  expect(connection.state).toMatchObject({ phase: 'closed', code });
  await world.clock.advance(600_000);
  expect(world.sockets).toHaveLength(1);
});

test('an error that names a delay makes the reconnect wait for it', async () => {
  await open();
  const wait = { retry_after_ms: 7000 };
  await world.socket.says({ op: 'error', code: 'unavailable', detail: 'busy', ...wait });
  await world.socket.ends(4003);
  connection.wake();
  await world.clock.advance(6900);
  expect(world.sockets).toHaveLength(1);
  await world.clock.advance(200);
  expect(world.sockets).toHaveLength(2);
});

test('a ticket that is refused for load is asked for again after retry-after', async () => {
  world.on('POST /v1/auth/ws-ticket', () =>
    reply({ code: 'unavailable', detail: 'draining' }, 503, { 'retry-after': '5' }),
  );
  connection.start();
  await settle();
  expect(phase()).toBe('waiting');
  await world.clock.advance(4900);
  expect(world.count('POST /v1/auth/ws-ticket')).toBe(1);
  await world.clock.advance(200);
  expect(world.count('POST /v1/auth/ws-ticket')).toBe(2);
});

test('4004 renews the token and reconnects at once', async () => {
  world.on('POST /v1/auth/refresh', () => reply(grant(2)));
  await open();
  await world.clock.advance(6000);
  await world.socket.ends(4004);
  expect(world.count('POST /v1/auth/refresh')).toBe(1);
  expect(world.sockets).toHaveLength(2);
  const ticket = world.calls.filter((call) => call.path.endsWith('ws-ticket')).at(-1);
  expect(ticket?.token).toBe('a2');
});

test('4004 with a login that cannot be renewed is final', async () => {
  world.on('POST /v1/auth/refresh', () => reply({ code: 'unauthenticated' }, 401));
  await open();
  await world.socket.ends(4004);
  expect(connection.state).toMatchObject({ phase: 'closed', code: 4501 });
  expect(http.vault.current()).toBeNull();
});

test('the token is renewed in the connection before it ends', async () => {
  world.on('POST /v1/auth/refresh', () => reply(grant(2)));
  await open();
  await world.clock.advance(830_000);
  const sent = world.sockets[0]!;
  expect(sent.all('refresh')).toEqual([]);
  await world.clock.advance(10_000);
  expect(sent.last('refresh')['token']).toBe('a2');
  await sent.says({ op: 'ok', re: sent.last('refresh').id! });
  expect(phase()).toBe('open');
});

test('silence after a ping is taken for a lost connection', async () => {
  await open();
  await world.clock.advance(25_000);
  expect(world.socket.all('ping')).toHaveLength(1);
  world.socket.answersPings = false;
  await world.clock.advance(25_000);
  expect(phase()).toBe('open');
  await world.clock.advance(25_000);
  expect(world.sockets[0]!.closedWith).toBe(1000);
  expect(states.some((state) => state.phase === 'waiting')).toBe(true);
});

test('a server that never says welcome is left', async () => {
  connection.start();
  await world.clock.advance(12_000);
  expect(phase()).toBe('waiting');
});

test('answers find their commands, and those without one fail when the connection ends', async () => {
  await open();
  const one = connection.command({ op: 'cancel', room: 'r1', message: 'm1' });
  const two = connection.command({ op: 'cancel', room: 'r1', message: 'm2' });
  const three = connection.command({ op: 'cancel', room: 'r1', message: 'm3' });
  const lost = expect(three.answer).rejects.toMatchObject({ code: 'closed' });
  const refused = expect(two.answer).rejects.toMatchObject({
    code: 'rate_limited',
    retryAfterMs: 1200,
  });
  await world.socket.says(
    { op: 'error', re: two.id, code: 'rate_limited', detail: 'slower', retry_after_ms: 1200 },
    { op: 'ok', re: one.id },
  );
  await expect(one.answer).resolves.toMatchObject({ op: 'ok' });
  await refused;
  await world.socket.ends(1006);
  await lost;
});

test('a device that is online again does not wait for the back-off', async () => {
  world.chance = 0.999;
  await open();
  for (let n = 0; n < 5; n += 1) {
    await world.socket.ends(1006);
    connection.wake();
    await settle();
  }
  expect(world.sockets).toHaveLength(6);
});

test('a stopped connection stays away and hears nothing more', async () => {
  await open();
  const socket = world.socket;
  connection.stop();
  expect(socket.closedWith).toBe(1000);
  await world.clock.advance(120_000);
  expect(world.sockets).toHaveLength(1);
  expect(phase()).toBe('idle');
});
