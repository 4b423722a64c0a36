/**
 * My rooms and how much of each is unread.
 *
 * The list is the server's; between two readings events keep it current.
 */

import { Notifier } from './notifier.js';
import type { EventFrame, Room } from './types.js';

export class Directory {
  readonly onChange = new Notifier<readonly Room[]>();
  #rooms: readonly Room[] = [];
  #reading: string | null = null;

  rooms(): readonly Room[] {
    return this.#rooms;
  }

  /** Returns a room by id or slug. */
  find(name: string): Room | undefined {
    return this.#rooms.find((room) => room.id === name || room.slug === name);
  }

  replace(rooms: readonly Room[]): void {
    const read = { unread: 0, mentions: 0 };
    this.#set(rooms.map((room) => (room.id === this.#reading ? { ...room, ...read } : room)));
  }

  put(room: Room): void {
    const others = this.#rooms.filter((known) => known.id !== room.id);
    this.#set([...others, room]);
  }

  remove(id: string): void {
    this.#set(this.#rooms.filter((room) => room.id !== id));
  }

  /** Says which room a person is reading now; its messages are not counted. */
  reading(id: string | null): void {
    this.#reading = id;
    if (id) this.change(id, { unread: 0, mentions: 0 });
  }

  change(id: string, change: Partial<Room>): void {
    const room = this.#rooms.find((known) => known.id === id);
    if (!room) return;
    const same = Object.entries(change).every(([key, value]) => room[key as keyof Room] === value);
    if (same) return;
    this.#set(this.#rooms.map((known) => (known === room ? { ...known, ...change } : known)));
  }

  apply(event: EventFrame, me: string): void {
    const room = this.#rooms.find((known) => known.id === event.room);
    if (!room) return;
    switch (event.type) {
      case 'room.updated':
      case 'room.archived':
        this.change(room.id, event.data);
        break;
      case 'message.created':
        if (event.data.sender.id !== me && room.id !== this.#reading) {
          const { mentions = [], mentions_room } = event.data;
          const named = mentions_room || mentions.some((user) => user.id === me) ? 1 : 0;
          const before = room.mentions ?? 0;
          this.change(room.id, { unread: room.unread + 1, mentions: before + named });
        }
        break;
      case 'history.reset':
        this.change(room.id, { unread: 0, mentions: 0 });
        break;
      case 'member.role_changed':
        if (event.data.user.id === me) this.change(room.id, { role: event.data.role });
        break;
      case 'member.left':
        if (event.data.user.id === me) this.remove(room.id);
        break;
      default:
        break;
    }
  }

  #set(rooms: readonly Room[]): void {
    this.#rooms = [...rooms].sort((a, b) => a.name.localeCompare(b.name));
    this.onChange.emit(this.#rooms);
  }
}
