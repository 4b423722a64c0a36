/** The mock's HTTP calls. */

import { randomUUID } from 'node:crypto';

export class Problem extends Error {
  constructor(status, code, detail, errors) {
    super(detail);
    this.status = status;
    this.body = { type: `/problems/${code}`, title: code, status, code, detail, errors };
  }
}

const OPENAPI = {
  openapi: '3.1.0',
  info: { title: 'Parlor (mock)', version: '0' },
  paths: {
    '/v1/auth/session': {
      get: { summary: 'Who am I', responses: { 200: { description: 'the session' } } },
    },
  },
};

export function routes(state, method, path, call) {
  const open = OPEN[`${method} ${path}`];
  if (open) return open(state, call);
  if (!call.user) throw new Problem(401, 'unauthenticated', 'log in first');
  const [, , family, name, part, id] = path.split('/').map(decodeURIComponent);
  if (path === '/v1/auth/ws-ticket') {
    const ticket = randomUUID();
    state.tickets.set(ticket, call.user);
    return { body: { ticket, expires_in: 30 } };
  }
  if (path === '/v1/auth/logout') return { status: 204 };
  if (family === 'users') {
    const found = state.users.get(name)?.user;
    if (!found) throw new Problem(404, 'not_found', 'there is no such user');
    return { body: found };
  }
  if (family === 'rooms' && !name) return roomList(state, method, call);
  const room = state.findRoom(name ?? '');
  if (family !== 'rooms' || !room) throw new Problem(404, 'not_found', 'there is no such room');
  if (!part) return { body: state.view(room, call.user) };
  if (part === 'members') return members(state, method, room, id, call);
  if (part === 'messages') return messages(state, method, room, id, call);
  if (part === 'export') {
    const lines = room.messages.map((message) => `**${message.sender.username}**: ${message.body}`);
    return { type: 'text/markdown', body: `${lines.join('\n\n')}\n` };
  }
  throw new Problem(404, 'not_found', 'no such path');
}

const OPEN = {
  'GET /openapi.json': () => ({ body: OPENAPI }),
  'GET /info': () => ({ body: { version: 'mock', registration: 'open', setup_required: false } }),
  'POST /v1/auth/register': (state, { body }) => register(state, body),
  'POST /v1/auth/setup': (state, { body }) => {
    if (body.token !== state.setupToken) {
      throw new Problem(403, 'forbidden', 'this setup link was used already or is not right');
    }
    return register(state, body);
  },
  'POST /v1/auth/token': (state, { body }) => {
    const known = state.users.get(body.username);
    if (!known || known.password !== body.password) {
      throw new Problem(401, 'unauthenticated', 'the user name or the password is wrong');
    }
    return { body: state.grant(known.user) };
  },
  'POST /v1/auth/refresh': (state, { body }) => {
    const known = state.users.get(state.refresh.get(body.refresh_token));
    if (!known) throw new Problem(401, 'unauthenticated', 'log in again');
    state.refresh.delete(body.refresh_token);
    return { body: state.grant(known.user) };
  },
};

function register(state, { username, password }) {
  const errors = [];
  if (state.users.has(username)) {
    errors.push({ field: 'username', code: 'taken', detail: 'this name is taken' });
  }
  if (String(password).length < 8) {
    errors.push({ field: 'password', code: 'too_short', detail: 'use at least 8 characters' });
  }
  if (errors.length > 0) {
    throw new Problem(422, 'validation_failed', 'some fields need another value', errors);
  }
  return { status: 201, body: state.grant(state.addUser(username, password)) };
}

function roomList(state, method, { user, query, body }) {
  if (method === 'POST') {
    const slug = body.name.toLowerCase().replace(/[^a-z0-9]+/g, '-');
    const room = state.addRoom({ slug, name: body.name, kind: body.kind });
    state.join(room, user, 'owner');
    return { status: 201, body: state.view(room, user) };
  }
  const all = [...state.rooms.values()].map((room) => state.view(room, user));
  const items = all.filter((room) =>
    query.get('mine') ? room.role !== null : room.role !== null || room.kind === 'public',
  );
  return { body: { items, next: null } };
}

function members(state, method, room, username, { user }) {
  if (method === 'GET') return { body: { items: [...room.members.values()], next: null } };
  const who = state.users.get(username)?.user;
  if (!who) throw new Problem(404, 'not_found', 'there is no such user');
  if (method === 'PUT') state.join(room, who);
  else {
    room.members.delete(who.id);
    state.append(room, 'member.left', { user: who, role: 'member' }, user);
  }
  return { body: {} };
}

function messages(state, method, room, id, { user, query, body }) {
  if (method === 'GET') {
    const before = Number(query.get('before') ?? Infinity);
    const limit = Number(query.get('limit') ?? 50);
    const older = room.messages.filter((message) => message.seq < before);
    const items = older.slice(-limit).map(({ stream, ...message }) => ({
      ...message,
      body: stream?.text ?? message.body,
    }));
    return { body: { items, next: older.length > limit ? String(items[0].seq) : null } };
  }
  if (!id) {
    room.messages = [];
    state.append(room, 'history.reset', { through: room.log.length }, user);
    return { status: 204 };
  }
  const message = room.messages.find((known) => known.id === id);
  if (!message) throw new Problem(404, 'not_found', 'there is no such message');
  if (method === 'PATCH') {
    const change = { body: body.body, edited_at: new Date().toISOString() };
    state.change(room, message, 'message.edited', change, change, user);
  } else {
    const change = { body: '', redacted_at: new Date().toISOString() };
    state.change(room, message, 'message.redacted', {}, change, user);
  }
  return { status: 200, body: message };
}
