import { beforeEach, expect, test } from 'vitest';

import { Parlor } from '../src/parlor.js';
import type { ParlorRoom } from '../src/room.js';
import type { EventFrame, Message, Room, StreamingReply, SubscribedFrame } from '../src/types.js';
import { settle } from './support/clock.js';
import {
  BOT,
  completed,
  created,
  delta,
  grant,
  message,
  reply,
  ROOM,
  streamingReply,
  World,
} from './support/world.js';

const HISTORY = `GET /v1/rooms/${ROOM}/messages`;
const wire: Room = {
  id: ROOM,
  slug: 'general',
  name: 'General',
  kind: 'public',
  topic: '',
  archived: false,
  epoch: 'e1',
  seq: 2,
  role: 'member',
  unread: 0,
  read_seq: 0,
  members: 1,
  created_at: '2026-01-01T00:00:00.000Z',
};

let world: World;
let parlor: Parlor;
let room: ParlorRoom;

async function subscribed(change: Partial<SubscribedFrame> = {}): Promise<void> {
  const re = world.socket.last('subscribe').id!;
  const defaults = { epoch: 'e1', seq: 2, resumed: true, streaming: [] as StreamingReply[] };
  await world.socket.says({
    op: 'subscribed',
    re,
    room: ROOM,
    slug: 'general',
    ...defaults,
    ...change,
  });
}

function subscribes(): unknown[] {
  return world.socket.all('subscribe').map((frame) => frame['since'] ?? null);
}

async function reconnect(code = 1006): Promise<void> {
  await world.socket.ends(code);
  await world.clock.advance(1000);
  await world.socket.welcomes();
}

function bodies(found: readonly (Message | undefined)[]): string[] {
  return found.map((one) => one?.body ?? '');
}

async function take<T>(
  loop: AsyncIterator<T, undefined>,
  count: number,
): Promise<(T | undefined)[]> {
  const taken = [];
  for (let n = 0; n < count; n += 1) taken.push((await loop.next()).value);
  return taken;
}

beforeEach(async () => {
  world = new World();
  world.on('GET /v1/rooms/general', () => reply(wire));
  parlor = new Parlor('http://parlor.test', {
    ports: world.ports,
    deltas: 'live',
    intents: ['deltas', 'bots'],
  });
  parlor.vault.store(grant(1));
  const opening = parlor.open('general');
  await settle();
  await world.socket.welcomes();
  room = await opening;
});

test('hello carries the token and what the program wants to be told', () => {
  expect(world.socket.url).toBe('ws://parlor.test/v1/ws');
  expect(world.socket.last('hello')).toMatchObject({
    token: 'a1',
    deltas: 'live',
    intents: ['deltas', 'bots'],
  });
});

test('events wait at the server until somebody listens, and then come from where the room was opened', async () => {
  expect(subscribes()).toEqual([]);
  const loop = room.messages({ own: true });
  expect(subscribes()).toEqual([{ epoch: 'e1', seq: 2 }]);
  await subscribed({ seq: 3 });
  await world.socket.says(created(3), created(3), created(4));
  expect(bodies(await take(loop, 2))).toEqual(['text 3', 'text 4']);
});

test('a room that is opened later is followed over the same connection', async () => {
  world.on('GET /v1/rooms/lab', () => reply({ ...wire, id: 'r2', slug: 'lab', seq: 7 }));
  const lab = await parlor.open('lab');
  lab.messages();
  expect(world.sockets).toHaveLength(1);
  expect(world.socket.all('subscribe')).toMatchObject([{ room: 'r2', since: { seq: 7 } }]);
});

/** Enters a room that is seen as `before`, or not at all, and says since when it is followed. */
async function joined(before: Partial<Room> | null): Promise<unknown> {
  const lab: Room = { ...wire, id: 'r2', slug: 'lab', seq: 9, read_seq: 5 };
  const asked: string[] = [];
  world.on('GET /v1/rooms/lab', () => {
    asked.push('GET');
    if (asked.includes('PUT')) return reply(lab);
    return before ? reply({ ...lab, ...before }) : reply({ code: 'not_found' }, 404);
  });
  world.on('PUT /v1/rooms/lab/members/me', () => {
    asked.push('PUT');
    return reply(null, 204);
  });
  const entered = await parlor.join('lab', { invite: 'code' });
  entered.messages();
  await settle();
  const { room: id, since } = world.socket.last('subscribe');
  return { asked, id, since };
}

test('who enters a room hears what is said from then on', async () => {
  const asked = ['GET', 'PUT', 'GET'];
  const since = { epoch: 'e1', seq: 5 };
  expect(await joined({ role: null, seq: 4 })).toEqual({ asked, id: 'r2', since });
});

test('a private room is entered by its invite and heard from then on', async () => {
  const asked = ['GET', 'PUT', 'GET'];
  const since = { epoch: 'e1', seq: 5 };
  expect(await joined(null)).toEqual({ asked, id: 'r2', since });
});

test('who is a member already hears what is said from the call on', async () => {
  const since = { epoch: 'e1', seq: 7 };
  expect(await joined({ seq: 7 })).toEqual({ asked: ['GET'], id: 'r2', since });
});

test('between two loops events wait at the server, too', async () => {
  const one = room.items();
  await subscribed();
  await world.socket.says(created(3));
  await one.next();
  await one.return?.();
  expect(world.socket.all('unsubscribe')).toHaveLength(1);
  await world.socket.says(created(4));
  const abort = new AbortController();
  const seen: number[] = [];
  room.on('event', (event) => seen.push(event.seq), { signal: abort.signal });
  expect(subscribes().at(-1)).toEqual({ epoch: 'e1', seq: 3 });
  await subscribed({ seq: 4 });
  await world.socket.says(created(4));
  expect(seen).toEqual([4]);
  abort.abort();
  expect(world.socket.all('unsubscribe')).toHaveLength(2);
});

test('a loop over messages leaves out my own and gives replies at their end', async () => {
  const loop = room.messages();
  await subscribed();
  await world.socket.says(
    created(3),
    streamingReply(4),
    delta('m4', 1, 1, 'hel'),
    completed(5, 'm4', 'hello'),
  );
  await world.socket.says(created(6, { sender: BOT, body: 'done' }));
  const found = await take(loop, 2);
  expect(found).toMatchObject([{ id: 'm4', body: 'hello', status: 'completed' }, { body: 'done' }]);
});

test('a hole and a cut are continued from the position, nothing twice', async () => {
  const seen: number[] = [];
  room.on('event', (event) => seen.push(event.seq));
  await subscribed();
  await world.socket.says(created(3), created(5));
  expect(subscribes().at(-1)).toEqual({ epoch: 'e1', seq: 3 });
  await subscribed({ seq: 5 });
  await world.socket.says(created(4), created(5));
  await reconnect(4001);
  expect(subscribes()).toEqual([{ epoch: 'e1', seq: 5 }]);
  await subscribed({ seq: 6 });
  await world.socket.says(created(5), created(6), created(7));
  expect(seen).toEqual([3, 4, 5, 6, 7]);
});

test('a loop that is behind makes the room wait at the server and misses nothing', async () => {
  const loop = room.items({ capacity: 4 });
  await subscribed();
  await world.socket.says(created(3), created(4), created(5), created(6), created(7), created(8));
  expect(world.socket.all('unsubscribe')).toHaveLength(1);
  expect(room.cursor?.seq).toBe(6);
  expect(await take(loop, 2)).toMatchObject([{ seq: 3 }, { seq: 4 }]);
  expect(subscribes().at(-1)).toEqual({ epoch: 'e1', seq: 6 });
  await subscribed({ seq: 8 });
  await world.socket.says(created(7), created(8));
  expect(await take(loop, 4)).toMatchObject([{ seq: 5 }, { seq: 6 }, { seq: 7 }, { seq: 8 }]);
});

test('a room that waits at the server can be written to, also after a reconnect', async () => {
  await reconnect();
  const sent = room.send('hi');
  const frame = world.socket.last('publish');
  await world.socket.says({ op: 'ok', re: frame.id!, seq: 9, message: 'm9' });
  expect(await sent).toEqual({ clientId: 'id-1', seq: 9, message: 'm9' });
});

test('what was missed while the position was lost comes from the history, before what follows', async () => {
  let answer: (response: Response) => void = () => undefined;
  world.on(HISTORY, () => new Promise((resolve) => (answer = resolve)));
  const loop = room.items();
  const said = room.messages({ own: true });
  await subscribed();
  await world.socket.says(created(3));
  await reconnect();
  await subscribed({ seq: 6, resumed: false });
  await world.socket.says(
    { op: 'resync', room: ROOM, from: 6, reason: 'too_far_behind' },
    created(7),
  );
  answer(
    reply({ items: [message(2), message(3), message(4), message(6), message(7)], next: null }),
  );
  await settle();
  const [before, gap, after] = await take(loop, 3);
  expect(before).toMatchObject({ seq: 3 });
  expect(gap).toMatchObject({ op: 'resynced', reason: 'too_far_behind', complete: true });
  expect(gap).toMatchObject({ before: { seq: 3 }, now: { seq: 6 } });
  expect(after).toMatchObject({ seq: 7 });
  expect(bodies(await take(said, 4))).toEqual(['text 3', 'text 4', 'text 6', 'text 7']);
});

test('what was missed waits for the next loop when the one before is left', async () => {
  let answer: (response: Response) => void = () => undefined;
  world.on(HISTORY, () => new Promise((resolve) => (answer = resolve)));
  const one = room.messages({ own: true });
  await subscribed({ seq: 4, resumed: false });
  await one.return?.();
  answer(reply({ items: [message(2), message(3), message(4)], next: null }));
  await settle();
  const two = room.messages({ own: true });
  expect(bodies(await take(two, 2))).toEqual(['text 3', 'text 4']);
});

test('history that cannot be read is tried again while events wait', async () => {
  let up = false;
  world.on(HISTORY, () => (up ? reply({ items: [message(3)], next: null }) : reply({}, 503)));
  const loop = room.items();
  await subscribed({ seq: 3, resumed: false, epoch: 'e2' });
  await world.socket.says(created(4));
  up = true;
  await world.clock.advance(1_000);
  const found = await take(loop, 2);
  expect(found).toMatchObject([
    { op: 'resynced', complete: false, missed: [{ id: 'm3' }] },
    { seq: 4 },
  ]);
});

test('a missed piece makes the room subscribe again and take the text so far', async () => {
  const texts: string[] = [];
  room.on('reply', ({ turn, text }) => texts.push(`${turn}: ${text}`));
  await subscribed();
  await world.socket.says(
    streamingReply(3),
    delta('m3', 1, 1, 'one '),
    delta('m3', 1, 3, 'three '),
  );
  expect(subscribes()).toHaveLength(2);
  await subscribed({
    seq: 3,
    streaming: [{ message: 'm3', turn: 1, chunk: 3, text: 'one two three ' }],
  });
  await world.socket.says(delta('m3', 1, 4, 'four'), delta('m3', 2, 1, 'anew'));
  expect(texts).toEqual(['1: one ', '1: one two three four', '2: anew']);
  await world.socket.says(completed(4, 'm3', 'anew.'), delta('m3', 2, 3, 'late'));
  expect(subscribes()).toHaveLength(2);
});

test('an unasked text so far is taken over', async () => {
  const texts: string[] = [];
  room.on('reply', ({ text }) => texts.push(text));
  await subscribed();
  await world.socket.says(streamingReply(3), delta('m3', 1, 1, 'one '));
  const rest = { room: ROOM, slug: 'general', epoch: 'e1', seq: 3, resumed: true };
  const streaming = [{ message: 'm3', turn: 1, chunk: 5, text: 'one to five ' }];
  await world.socket.says({ op: 'subscribed', ...rest, streaming }, delta('m3', 1, 6, 'six'));
  expect(texts).toEqual(['one ', 'one to five six']);
  expect(subscribes()).toHaveLength(1);
});

test('messages keep their order and their ids over a cut, until each is answered', async () => {
  const all = [room.send('one'), room.send('two')];
  await world.clock.advance(10);
  await reconnect();
  const again = world.socket.last('publish');
  expect(again).toMatchObject({ client_id: 'id-1', body: 'one' });
  await world.socket.says({ op: 'ok', re: again.id!, seq: 3, message: 'm3' });
  const second = world.socket.last('publish');
  expect(second).toMatchObject({ client_id: 'id-2', body: 'two' });
  world.chance = 0.01;
  for (let n = 0; n < 12; n += 1) {
    const re = world.socket.last('publish').id!;
    await world.socket.says({ op: 'error', re, code: 'unavailable', detail: 'later' });
    await world.clock.advance(1_000);
  }
  const last = world.socket.last('publish');
  expect(last['client_id']).toBe('id-2');
  const flushed = room.flush();
  await world.socket.says({ op: 'ok', re: last.id!, seq: 4, message: 'm4' });
  expect((await Promise.all(all)).map((sent) => sent.seq)).toEqual([3, 4]);
  await flushed;
});

test('a refused, an aborted and a surplus message are told to their author', async () => {
  const refused = expect(room.send('one')).rejects.toMatchObject({ code: 'forbidden' });
  const re = world.socket.last('publish').id!;
  await world.socket.says({ op: 'error', re, code: 'forbidden', detail: 'you are muted' });
  await refused;
  const abort = new AbortController();
  await world.socket.ends(1006);
  const aborted = expect(room.send('two', { signal: abort.signal })).rejects.toThrow('enough');
  abort.abort(new Error('enough'));
  await aborted;
  expect(room.unsent).toBe(0);
  const waiting = Array.from({ length: 100 }, () => room.send('x'));
  await expect(room.send('surplus')).rejects.toMatchObject({ code: 'outbox_full' });
  const given = Promise.allSettled(waiting);
  parlor.close();
  expect((await given).every((one) => one.status === 'rejected')).toBe(true);
});

test('a question is answered with the reply to it', async () => {
  const asked = room.ask('@guide hi');
  await subscribed();
  const { id } = world.socket.last('publish');
  const bot = { trigger: 'm3', provider: 'demo', model: 'demo' };
  await world.socket.says(
    created(3, { client_id: 'id-1' }),
    { op: 'ok', re: id!, seq: 3, message: 'm3' },
    created(4, { sender: BOT, body: '', status: 'streaming', bot }),
    completed(5, 'm4', 'hello'),
  );
  expect(await asked).toMatchObject({ id: 'm4', body: 'hello' });
});

test('loops end when the room is left, the login ends or the client is closed', async () => {
  const one = room.items();
  await subscribed();
  const data = { user: grant(1).user, role: 'member' as const };
  const at = '2026-01-01T00:00:00.000Z';
  await world.socket.says({
    op: 'event',
    room: ROOM,
    seq: 3,
    type: 'member.left',
    at,
    data,
  } as EventFrame);
  expect(await take(one, 1)).toMatchObject([{ type: 'member.left' }]);
  await expect(one.next()).rejects.toMatchObject({ code: 'not_a_member' });

  const two = (await parlor.open('general')).items();
  await world.socket.ends(4509);
  await expect(two.next()).rejects.toMatchObject({ code: 'closed' });
  const closed = parlor.open('general');
  await settle();
  await world.socket.welcomes();
  const three = (await closed).items();
  parlor.close();
  expect(await three.next()).toEqual({ done: true, value: undefined });
});

test('any call is made by its method and path', async () => {
  world.on('PATCH /v1/rooms/a%2Fb', ({ body }) => reply({ ...wire, ...body }));
  const changed = await parlor.call('PATCH /v1/rooms/{room}', {
    path: { room: 'a/b' },
    body: { topic: 'x' },
  });
  expect(changed.topic).toBe('x');
  const abort = AbortSignal.abort(new Error('enough'));
  await expect(parlor.call('GET /info', { auth: false, signal: abort })).rejects.toThrow('enough');
});

test('an access token that was made elsewhere is used until it is refused', async () => {
  let valid = true;
  world.on('GET /v1/users/me', () =>
    valid ? reply(grant(1).user) : reply({ code: 'unauthenticated' }, 401),
  );
  expect((await parlor.useToken('pat')).username).toBe('ada');
  await parlor.call('GET /v1/users/me');
  expect(world.calls.at(-1)?.token).toBe('pat');
  valid = false;
  await expect(parlor.call('GET /v1/users/me')).rejects.toMatchObject({ code: 'unauthenticated' });
});

test('calls have names, and whole lists are loops over their pages', async () => {
  world.on('GET /v1/rooms', ({ query }) => {
    const second = query.get('cursor') === 'c2';
    const items = [{ ...wire, slug: second ? 'two' : 'one' }];
    return reply({ items, next: second ? null : 'c2' });
  });
  const slugs = [];
  for await (const { slug } of parlor.all('GET /v1/rooms', { query: { mine: true } }))
    slugs.push(slug);
  expect(slugs).toEqual(['one', 'two']);
  expect(world.calls.at(-1)?.query.get('mine')).toBe('true');
  world.on('DELETE /v1/rooms/r1/members/bob', () => reply(null, 204));
  const path = { room: 'r1', username: 'bob' };
  expect(await parlor.calls.deleteMember({ path })).toBeUndefined();
});

test('what is larger than a frame is refused here, because the server would end the connection', async () => {
  world.limits = { frame_bytes: 1_000 };
  await reconnect();
  await expect(room.send('ü'.repeat(600))).rejects.toMatchObject({ code: 'payload_too_large' });
  room.signal('x'.repeat(2_000));
  expect(world.socket.all('publish')).toEqual([]);
  expect(world.socket.all('signal')).toEqual([]);
});

test('a hello that is refused is tried once with a new token', async () => {
  world.on('POST /v1/auth/refresh', () => reply(grant(2)));
  await world.socket.ends(1006);
  await world.clock.advance(1_000);
  world.socket.onopen?.();
  await world.socket.ends(4501);
  await world.clock.advance(1_000);
  world.socket.onopen?.();
  expect(world.socket.last('hello')['token']).toBe('a2');
  await world.socket.ends(4501);
  expect(parlor.state).toMatchObject({ phase: 'closed', code: 4501 });
});
