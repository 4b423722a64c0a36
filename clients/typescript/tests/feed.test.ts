import { beforeEach, expect, test } from 'vitest';

import { ParlorClient } from '../src/client.js';
import type { Feed } from '../src/feed.js';
import { settle } from './support/clock.js';
import {
  BOT,
  completed,
  created,
  delta,
  grant,
  ME,
  message,
  reply,
  ROOM,
  streamingReply,
  World,
} from './support/world.js';
import type { Message, Room, ServerFrame, StreamingReply, SubscribedFrame } from '../src/types.js';

const HISTORY = `GET /v1/rooms/${ROOM}/messages`;
const room: Room = {
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
let client: ParlorClient;
let feed: Feed;
let page: Message[];

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

function bodies(): string[] {
  return feed.timeline.messages().map((m) => feed.timeline.text(m));
}

async function reconnect(code = 1006): Promise<void> {
  await world.socket.ends(code);
  await world.clock.advance(1000);
  await world.socket.welcomes();
}

beforeEach(async () => {
  world = new World();
  page = [message(1), message(2)];
  world.on('GET /v1/rooms', () => reply({ items: [room], next: null }));
  world.on(HISTORY, () => reply({ items: page, next: null }));
  world.on(`GET /v1/rooms/${ROOM}/members`, () =>
    reply({ items: [{ user: ME, role: 'owner', status: 'online' }], next: null }),
  );
  client = new ParlorClient({ base: 'http://parlor.test', ports: world.ports });
  client.vault.store(grant(1));
  await client.start();
  feed = client.feed(room);
  feed.open();
  await settle();
  await world.socket.welcomes();
  await subscribed();
});

test('a room is subscribed at the position that the list told, and its history is read', () => {
  expect(subscribes()).toEqual([{ epoch: 'e1', seq: 2 }]);
  expect(bodies()).toEqual(['text 1', 'text 2']);
  expect(feed.roster.members()).toHaveLength(1);
});

test('the next event is applied and a known one dropped', async () => {
  const seen: number[] = [];
  feed.onEvent.on((event) => seen.push(event.seq));
  await world.socket.says(created(3), created(3), created(2, { body: 'again' }), created(4));
  expect(bodies()).toEqual(['text 1', 'text 2', 'text 3', 'text 4']);
  expect(seen).toEqual([3, 4]);
});

test('a hole makes the room subscribe again from its position, once', async () => {
  await world.socket.says(created(3), created(6), created(7));
  expect(subscribes().at(-1)).toEqual({ epoch: 'e1', seq: 3 });
  expect(subscribes()).toHaveLength(2);
  expect(feed.cursor).toEqual({ epoch: 'e1', seq: 3 });
  await subscribed({ seq: 7 });
  await world.socket.says(created(4), created(5), created(6), created(7), created(8));
  expect(feed.timeline.messages().map((m) => m.seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
});

test.each([1006, 4001, 4000])('after %i it resumes and misses nothing', async (code) => {
  await world.socket.says(created(3));
  await reconnect(code);
  expect(subscribes()).toEqual([{ epoch: 'e1', seq: 3 }]);
  await subscribed({ seq: 5 });
  await world.socket.says(created(4), created(5), created(6));
  expect(feed.timeline.messages().map((m) => m.seq)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(world.count(HISTORY)).toBe(1);
});

test('a resync reads the newest page again and goes on from there', async () => {
  page = [message(90), message(91)];
  await world.socket.says({ op: 'resync', room: ROOM, from: 91, reason: 'too_far_behind' });
  expect(subscribes().at(-1)).toBeNull();
  await subscribed({ epoch: 'e2', seq: 91, resumed: false });
  await world.socket.says(created(92));
  expect(feed.timeline.messages().map((m) => m.seq)).toEqual([90, 91, 92]);
  expect(feed.cursor).toEqual({ epoch: 'e2', seq: 92 });
});

test('a refused resume starts again once, also when a resync follows it', async () => {
  page = [message(90)];
  await reconnect();
  await subscribed({ epoch: 'e2', seq: 90, resumed: false });
  await world.socket.says({ op: 'resync', room: ROOM, from: 90, reason: 'epoch_changed' });
  expect(subscribes()).toHaveLength(1);
  expect(world.count(HISTORY)).toBe(2);
  await world.socket.says(created(91));
  expect(feed.timeline.messages().map((m) => m.seq)).toEqual([90, 91]);
});

test('events that come while history is read are applied on top of it', async () => {
  let answer: (response: Response) => void = () => undefined;
  world.on(HISTORY, () => new Promise((resolve) => (answer = resolve)));
  await world.socket.says({ op: 'resync', room: ROOM, from: 5, reason: 'too_far_behind' });
  await subscribed({ seq: 5, resumed: false });
  await world.socket.says(streamingReply(6), delta('m6', 1, 1, 'he'), delta('m6', 1, 2, 'llo'));
  answer(reply({ items: [message(5)], next: '5' }));
  await settle();
  expect(bodies()).toEqual(['text 5', 'hello']);
  expect(feed.hasOlder).toBe(true);
  expect(subscribes()).toHaveLength(2);
});

test('when more than a thousand events wait for history, it is read anew with them', async () => {
  const answers: ((response: Response) => void)[] = [];
  world.on(HISTORY, () => new Promise((resolve) => answers.push(resolve)));
  await world.socket.says({ op: 'resync', room: ROOM, from: 5, reason: 'too_far_behind' });
  await subscribed({ seq: 5, resumed: false });
  for (let seq = 6; seq <= 1_006; seq += 1) await world.socket.says(created(seq));
  expect(answers).toHaveLength(2);
  await world.socket.says(created(1_007));
  answers[0]?.(reply({ items: [message(5)], next: null }));
  answers[1]?.(reply({ items: [message(1_005), message(1_006)], next: '1005' }));
  await settle();
  expect(bodies()).toEqual(['text 1005', 'text 1006', 'text 1007']);
});

test('history that could not be read is tried again, also across a reconnect', async () => {
  let up = false;
  page = [message(5)];
  world.on(HISTORY, () => (up ? reply({ items: page, next: null }) : reply({}, 503)));
  await world.socket.says({ op: 'resync', room: ROOM, from: 5, reason: 'too_far_behind' });
  await subscribed({ seq: 5, resumed: false });
  expect(feed.error?.code).toBe('unavailable');
  await reconnect();
  up = true;
  page = [message(5), message(6)];
  await subscribed({ seq: 6 });
  await world.socket.says(created(6), created(7));
  expect(feed.timeline.messages().map((m) => m.seq)).toEqual([5, 6, 7]);
  expect(feed.error).toBeNull();
});

test('a missing chunk makes the room subscribe again and take the text so far', async () => {
  await world.socket.says(
    streamingReply(3),
    delta('m3', 1, 1, 'one '),
    delta('m3', 1, 3, 'three '),
  );
  await world.socket.says(delta('m3', 1, 4, 'four '));
  expect(bodies().at(-1)).toBe('one ');
  expect(subscribes().at(-1)).toEqual({ epoch: 'e1', seq: 3 });
  expect(subscribes()).toHaveLength(2);
  const streaming = [{ message: 'm3', turn: 1, chunk: 4, text: 'one two three four ' }];
  await subscribed({ seq: 3, streaming });
  await world.socket.says(delta('m3', 1, 5, 'five'));
  expect(bodies().at(-1)).toBe('one two three four five');
  await world.socket.says(completed(4, 'm3', 'one two three four five.'));
  expect(bodies().at(-1)).toBe('one two three four five.');
});

test('chunks that stay missing do not make it subscribe more than once a second', async () => {
  await world.socket.says(streamingReply(3), delta('m3', 1, 2, 'x'));
  await subscribed({ seq: 3 });
  for (let n = 3; n < 30; n += 1) await world.socket.says(delta('m3', 1, n, 'x'));
  expect(subscribes()).toHaveLength(2);
  await world.clock.advance(1000);
  expect(subscribes()).toHaveLength(3);
});

test('who joins in the middle of a reply gets the text so far and then the rest', async () => {
  const late = new ParlorClient({ base: 'http://parlor.test', ports: world.ports });
  client.stop();
  page = [message(1), message(2), message(3, { sender: BOT, body: '', status: 'streaming' })];
  await late.start();
  feed = late.feed(room);
  feed.open();
  await settle();
  await world.socket.welcomes();
  const streaming = [{ message: 'm3', turn: 2, chunk: 7, text: 'so far' }];
  await subscribed({ seq: 3, streaming });
  await world.socket.says(created(3), delta('m3', 2, 8, ' and more'));
  expect(bodies().at(-1)).toBe('so far and more');
});

test('a published message is sent once, and leaves when the log shows it', async () => {
  feed.outbox.publish('hello');
  const sent = world.socket.last('publish');
  expect(sent).toMatchObject({ room: ROOM, client_id: 'id-1', body: 'hello', reply_to: null });
  await world.socket.says({ op: 'ok', re: sent.id!, seq: 3, message: 'm3' });
  expect(feed.outbox.messages()).toMatchObject([{ state: 'sent' }]);
  await world.socket.says(created(3, { client_id: 'id-1', body: 'hello' }));
  expect(feed.outbox.messages()).toEqual([]);
  expect(bodies().at(-1)).toBe('hello');
});

test('a publish without answer is repeated once with the same client_id after the reconnect', async () => {
  feed.outbox.publish('hello');
  await reconnect();
  expect(world.socket.all('publish')).toEqual([]);
  await subscribed();
  const again = world.socket.all('publish');
  expect(again.map((frame) => frame['client_id'])).toEqual(['id-1']);
  await world.socket.says({ op: 'ok', re: again[0]!.id!, seq: 3, message: 'm3' });
  await world.clock.advance(60_000);
  expect(world.socket.all('publish')).toHaveLength(1);
});

test('a publish whose event arrives with the resume is not repeated', async () => {
  feed.outbox.publish('hello');
  await world.socket.says(created(3, { client_id: 'id-1' }));
  await reconnect();
  await subscribed({ seq: 3 });
  expect(world.socket.all('publish')).toEqual([]);
});

test('a rate-limited publish waits as told and keeps the order of those behind it', async () => {
  feed.outbox.publish('one');
  feed.outbox.publish('two');
  const re = world.socket.last('publish').id!;
  await world.socket.says({
    ...{ op: 'error', re, code: 'rate_limited', detail: 'slower', retry_after_ms: 3000 },
  } as ServerFrame);
  await world.clock.advance(2900);
  expect(world.socket.all('publish')).toHaveLength(1);
  await world.clock.advance(200);
  expect(world.socket.all('publish').map((frame) => frame['body'])).toEqual(['one', 'one']);
});

test('a refused publish stays as failed and can be sent again as the same message', async () => {
  feed.outbox.publish('hello');
  const re = world.socket.last('publish').id!;
  await world.socket.says({ op: 'error', re, code: 'forbidden', detail: 'you are muted' });
  expect(feed.outbox.messages()).toMatchObject([{ state: 'failed', error: { code: 'forbidden' } }]);
  feed.outbox.retry('id-1');
  expect(world.socket.all('publish').map((frame) => frame['client_id'])).toEqual(['id-1', 'id-1']);
  feed.outbox.discard('id-1');
  expect(feed.outbox.messages()).toEqual([]);
});

test('unread counts messages by others, and those that name me, in rooms that nobody reads', async () => {
  feed.close();
  const named = { sender: BOT, mentions: [ME] };
  await world.socket.says(created(3, { sender: BOT }), created(4));
  expect(client.directory.find('general')).toMatchObject({ unread: 1, mentions: 0 });
  client.directory.reading(ROOM);
  await world.socket.says(created(5, named));
  expect(client.directory.find('general')).toMatchObject({ unread: 0, mentions: 0 });
  client.directory.reading(null);
  await world.socket.says(created(6, named), created(7, { sender: BOT, mentions_room: true }));
  expect(client.directory.find('general')).toMatchObject({ unread: 2, mentions: 2 });
});

test('who is removed from a room hears no more and sees it leave the list', async () => {
  const data = { user: ME, role: 'member' as const };
  const at = '2026-01-01T00:00:00.000Z';
  await world.socket.says({ op: 'event', room: ROOM, seq: 3, type: 'member.left', at, data });
  expect(feed.phase).toBe('gone');
  expect(client.directory.rooms()).toEqual([]);
});

test('typing ends by itself', async () => {
  const typing = { user: BOT, on: true };
  await world.socket.says({ op: 'signal', room: ROOM, type: 'typing', data: typing });
  expect(feed.roster.typing()).toEqual([BOT]);
  await world.clock.advance(7_000);
  expect(feed.roster.typing()).toEqual([]);
});

test('older pages are read from the oldest message on', async () => {
  page = [message(60), message(61)];
  world.on(HISTORY, ({ query }) =>
    query.get('before') === '60'
      ? reply({ items: [message(58), message(59)], next: null })
      : reply({ items: page, next: '60' }),
  );
  await world.socket.says({ op: 'resync', room: ROOM, from: 61, reason: 'too_far_behind' });
  await subscribed({ seq: 61, resumed: false });
  await feed.loadOlder();
  expect(feed.timeline.messages().map((m) => m.seq)).toEqual([58, 59, 60, 61]);
  expect(feed.hasOlder).toBe(false);
});
