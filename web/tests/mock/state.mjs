/** What the mock server knows: users, rooms, messages, and the log of each room. */

import { randomUUID } from 'node:crypto';

const EPOCH = 'mock-1';

export const GUIDE = { id: 'bot-guide', username: 'guide', display_name: 'Guide', kind: 'bot' };
const GRACE = { id: 'user-grace', username: 'grace', display_name: 'Grace Hopper', kind: 'user' };

export class MockState {
  users = new Map();
  rooms = new Map();
  /** Access token to user name. */
  access = new Map();
  refresh = new Map();
  tickets = new Map();
  setupToken = 'setup-token-for-tests';
  onFrame = () => undefined;

  constructor() {
    for (const user of [GUIDE, GRACE]) this.users.set(user.username, { user, password: null });
    this.general = this.addRoom({ slug: 'general', name: 'General', topic: 'Everyone is here' });
    this.addRoom({ slug: 'reading', name: 'Reading group', topic: 'Books and papers' });
    for (const room of this.rooms.values()) {
      for (const user of [GUIDE, GRACE]) this.join(room, user);
    }
    this.publish(this.general, GRACE, 'Good morning. Shall we look at the numbers today?');
  }

  addUser(username, password) {
    const user = { id: randomUUID(), username, display_name: username, kind: 'user' };
    this.users.set(username, { user, password });
    this.join(this.general, user);
    return user;
  }

  grant(user) {
    const access_token = `access-${randomUUID()}`;
    const refresh_token = `refresh-${randomUUID()}`;
    this.access.set(access_token, user.username);
    this.refresh.set(refresh_token, user.username);
    return { user, access_token, token_type: 'bearer', expires_in: 900, refresh_token };
  }

  addRoom({ slug, name, kind = 'public', topic = '' }) {
    const room = { id: randomUUID(), slug, name, kind, topic, members: new Map(), log: [], messages: [] };
    this.rooms.set(room.id, room);
    return room;
  }

  findRoom(name) {
    return this.rooms.get(name) ?? [...this.rooms.values()].find((room) => room.slug === name);
  }

  view(room, user) {
    const { id, slug, name, kind, topic, members, log } = room;
    const role = members.get(user.id)?.role ?? null;
    const rest = { role, unread: 0, read_seq: 0, members: members.size, archived: false };
    return { id, slug, name, kind, topic, epoch: EPOCH, seq: log.length, ...rest };
  }

  join(room, user, role = 'member') {
    if (room.members.has(user.id)) return;
    const status = user.username === 'grace' ? 'idle' : 'online';
    room.members.set(user.id, { user, role, status, joined_at: new Date().toISOString() });
    this.append(room, 'member.joined', { user, role }, user);
  }

  append(room, type, data, actor) {
    const seq = room.log.length + 1;
    const at = new Date().toISOString();
    const event = { op: 'event', room: room.id, seq, type, at, actor, data };
    room.log.push(event);
    this.onFrame(room, event);
    return event;
  }

  publish(room, sender, body, extra = {}) {
    const known = extra.client_id && room.messages.find((m) => m.client_id === extra.client_id);
    if (known) return known;
    const message = {
      id: randomUUID(),
      room: room.id,
      seq: room.log.length + 1,
      sender,
      body,
      status: 'complete',
      created_at: new Date().toISOString(),
      reactions: [],
      ...extra,
    };
    room.messages.push(message);
    this.append(room, 'message.created', { ...message }, sender);
    return message;
  }

  change(room, message, type, data, change, actor) {
    Object.assign(message, change);
    this.append(room, type, { message: message.id, ...data }, actor);
  }

  signal(room, type, data) {
    this.onFrame(room, { op: 'signal', room: room.id, type, data });
  }

  subscribed(room, re, since) {
    const resumed = since !== undefined && since.epoch === EPOCH;
    const streaming = room.messages
      .filter((message) => message.stream)
      .map(({ id, stream }) => ({ message: id, turn: 1, chunk: stream.chunk, text: stream.text }));
    const frame = { op: 'subscribed', re, room: room.id, slug: room.slug, epoch: EPOCH };
    return { ...frame, seq: room.log.length, resumed, streaming };
  }
}
