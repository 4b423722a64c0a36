import { expect, test } from 'vitest';

import type { Message, ReplyProgress } from '../../src/index.js';
import { client, live, PASSWORD, register, repeat, unique, URL } from './stage.js';

test('a wrong password and a short one are refused with the reason', async () => {
  const ada = await register('ada');
  const stranger = client();
  const wrong = stranger.login(ada.user!.username, 'not the password');
  await expect(wrong).rejects.toMatchObject({ code: 'unauthenticated', status: 401 });
  expect(stranger.user).toBeNull();
  const short = stranger.register(unique('eve'), 'short');
  await expect(short).rejects.toMatchObject({
    code: 'validation_failed',
    fields: [{ field: 'password' }],
  });
  await stranger.login(ada.user!.username, PASSWORD);
  expect(stranger.user?.id).toBe(ada.user?.id);
});

test('people write, answer, edit, react and remove, and both see it', async () => {
  const [ada, bob] = await Promise.all([register('ada'), register('bob')]);
  const made = await ada.call('POST /v1/rooms', {
    body: { name: unique('Plans'), kind: 'public' },
  });
  const [hers, his] = [await ada.open(made.id), await bob.join(made.slug)];
  const events = hers.items();
  const sent = await his.send('hello');
  const path = { room: made.id, message: sent.message };
  await hers.send('welcome', { reply_to: sent.message });
  await bob.call('PATCH /v1/rooms/{room}/messages/{message}', {
    path,
    body: { body: 'hello all' },
  });
  const emoji = { ...path, emoji: '👍' };
  await ada.call('PUT /v1/rooms/{room}/messages/{message}/reactions/{emoji}', { path: emoji });
  await bob.call('DELETE /v1/rooms/{room}/messages/{message}', { path });
  const types: string[] = [];
  for await (const item of events) {
    if (item.op === 'event') types.push(item.type);
    if (types.at(-1) === 'message.redacted') break;
  }
  expect(types.filter((type) => type.startsWith('message') || type.startsWith('reaction'))).toEqual(
    [
      ...[
        'message.created',
        'message.created',
        'message.edited',
        'reaction.added',
        'message.redacted',
      ],
    ],
  );
});

test('who enters a room hears the greeting of who saw them come', async () => {
  const [ada, bob] = await Promise.all([register('ada'), register('bob')]);
  const made = await ada.call('POST /v1/rooms', {
    body: { name: unique('Hall'), kind: 'public' },
  });
  // His connection is open already, for another room.
  const general = await bob.open('general');
  general.on('event', () => undefined);
  await live(general);
  const hers = await ada.open(made.id);
  const seen = hers.items();
  const greeted = (async () => {
    for await (const item of seen) {
      if (item.op === 'event' && item.type === 'member.joined') break;
    }
    return hers.send('welcome');
  })();
  const his = await bob.join(made.slug);
  await greeted;
  for await (const message of his) {
    expect(message.body).toBe('welcome');
    break;
  }
});

test('a command is carried out, and a message that looks like one is a message', async () => {
  const [ada, bob] = await Promise.all([register('ada'), register('bob')]);
  const made = await ada.call('POST /v1/rooms', {
    body: { name: unique('Plans'), kind: 'public' },
  });
  const [hers, his] = [await ada.open(made.id), await bob.join(made.slug)];
  const heard = his.messages();
  const waved = await hers.command('/me waves', { clientId: 'wave' });
  expect(await hers.command('/me waves', { clientId: 'wave' })).toEqual(waved);
  await hers.send('/me waves');
  const told: Message[] = [];
  for await (const message of heard) if (told.push(message) === 2) break;
  expect(told.map(({ body, emote }) => [body, emote ?? false])).toEqual([
    ['waves', true],
    ['/me waves', false],
  ]);
  expect(waved).toMatchObject({ kind: 'message', message: told[0]!.id });
  await expect(hers.command('/topic Tea')).resolves.toMatchObject({ kind: 'changed' });
  await expect(hers.command('/nothing')).rejects.toMatchObject({ code: 'validation_failed' });
});

test('a question to the bot is answered, and the pieces joined are the reply', async () => {
  const ada = await register('ada');
  const room = await ada.open('general');
  const pieces: ReplyProgress[] = [];
  room.on('reply', (piece) => pieces.push(piece));
  const reply = await room.ask('@guide hello there');
  expect(reply).toMatchObject({ status: 'completed', sender: { kind: 'bot' } });
  const own = pieces.filter((piece) => piece.message === reply.id);
  expect(own.at(-1)?.text).toBe(reply.body);
  expect(own.map((piece) => piece.added).join('')).toBe(reply.body);
});

test('who wants no pieces gets the whole reply only', async () => {
  const ada = await register('ada', { deltas: 'none' });
  const room = await ada.open('general');
  const pieces: ReplyProgress[] = [];
  room.on('reply', (piece) => pieces.push(piece));
  expect((await room.ask('@guide hello')).body).not.toBe('');
  expect(pieces).toEqual([]);
});

test('a reply that is being written is stopped', async () => {
  const ada = await register('ada');
  const room = await ada.open('general');
  const { message } = await (async () => {
    const begun = room.once('reply');
    await room.send(`@guide ${'tell me a long story '.repeat(40)}`);
    return begun;
  })();
  const ended = room.messages();
  await room.cancel(message).catch((error: { code: string }) => {
    // It may have ended just now.
    expect(error.code).toBe('conflict');
  });
  let last: Message | undefined;
  for await (last of ended) if (last.id === message) break;
  expect(['cancelled', 'completed']).toContain(last?.status);
});

test('typing, markers and signals of a program reach the others', async () => {
  const [ada, bob] = await Promise.all([register('ada'), register('bob')]);
  const [hers, his] = [await ada.open('general'), await bob.open('general')];
  const signals = hers.items({ signals: true });
  await live(hers);
  const stop = repeat(async () => {
    const { seq } = await his.send('here');
    his.typing(true);
    his.signal({ cursor: [1, 2] });
    his.read(seq);
  });
  const wanted = new Set(['typing', 'app', 'receipt']);
  for await (const item of signals) {
    if (item.op === 'signal' && 'user' in item.data && item.data.user.id === bob.user?.id) {
      wanted.delete(item.type);
    }
    if (wanted.size === 0) break;
  }
  await stop();
});

test('what happened before a position is continued is not missed, in another program either', async () => {
  const ada = await register('ada');
  const room = await ada.open('general');
  const said = room.messages({ own: true });
  await room.send('first');
  await said.next();
  const since = room.cursor!;
  ada.close();
  const again = client();
  await again.login(ada.user!.username, PASSWORD);
  await again.call('POST /v1/rooms/{room}/messages', {
    path: { room: 'general' },
    body: { body: 'second' },
  });
  const later = (await again.open('general', { since })).messages({ own: true });
  expect((await later.next()).value?.body).toBe('second');
});

test('a personal access token stands for a login, with what its scopes name', async () => {
  const ada = await register('ada');
  const body = { name: 'a script', scopes: ['read' as const, 'write' as const] };
  const { secret } = await ada.calls.createToken({ body });
  const script = client();
  expect((await script.useToken(secret)).username).toBe(ada.user?.username);
  const room = await script.open('general');
  const said = room.messages({ own: true });
  await room.send('from a script');
  expect((await said.next()).value?.body).toBe('from a script');
  const made = script.calls.createRoom({ body: { name: 'Mine', kind: 'private' } });
  await expect(made).rejects.toMatchObject({ code: 'forbidden' });
});

test('who is told of nothing but what they want gets all events', async () => {
  const [ada, bob] = await Promise.all([register('ada', { intents: ['app'] }), register('bob')]);
  const [hers, his] = [await ada.open('general'), await bob.open('general')];
  const items = hers.items({ signals: true });
  await live(hers);
  const stop = repeat(async () => {
    his.typing(true);
    his.signal('here');
    await his.send('done');
  });
  const seen: string[] = [];
  for await (const item of items) {
    if (item.op !== 'resynced' && item.type !== 'member.joined') seen.push(item.type);
    if (seen.includes('app') && seen.includes('message.created')) break;
  }
  await stop();
  expect(new Set(seen)).toEqual(new Set(['app', 'message.created']));
});

test('logging out ends the login everywhere', async () => {
  const ada = await register('ada');
  await ada.connect();
  await ada.logout();
  expect(ada.user).toBeNull();
  await expect(ada.call('GET /v1/users/me')).rejects.toMatchObject({ code: 'unauthenticated' });
});

test('what is aborted ends at once', async () => {
  const ada = await register('ada');
  const room = await ada.open('general');
  const abort = new AbortController();
  const loop = room.messages({ signal: abort.signal }).next();
  const connecting = client().connect({ signal: abort.signal });
  abort.abort(new Error('enough'));
  await expect(loop).rejects.toThrow('enough');
  await expect(connecting).rejects.toThrow();
});

test('a file is sent with a message and read by others', async () => {
  const [ada, bob] = await Promise.all([register('ada'), register('bob')]);
  const bytes = new Uint8Array(300_000).map((_, n) => n % 251);
  const seen: number[] = [];
  const options = { partBytes: 100_000, onProgress: (arrived: number) => seen.push(arrived) };
  const file = await ada.upload('numbers.bin', new Blob([bytes]), options);
  expect(file).toMatchObject({ name: 'numbers.bin', bytes: 300_000 });
  expect(seen).toEqual([100_000, 200_000, 300_000]);
  const room = await ada.open('general');
  const { message } = await room.send('my numbers', { attachments: [file.id] });
  const found = await bob.call('GET /v1/rooms/{room}/messages/{message}', {
    path: { room: 'general', message },
  });
  expect(found.attachments).toEqual([file]);
  const { url } = await bob.call('GET /v1/rooms/{room}/attachments/{file}', {
    path: { room: 'general', file: file.id },
  });
  const got = await fetch(`${URL}${url}`);
  expect(new Uint8Array(await got.arrayBuffer())).toEqual(bytes);
});
