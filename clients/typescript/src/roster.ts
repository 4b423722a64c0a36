/**
 * Who is in a room and what they do: members with presence, who is typing, what bots are at.
 *
 * Signals are not stored and may be lost, so what they say ends by itself after a while.
 */

import type { TimerId, Timers } from './ports.js';
import type { BotStatus, EventFrame, Member, SignalFrame, UserRef } from './types.js';

const TYPING_MS = 7_000;
const BOT_STATUS_MS = 90_000;

interface Fading<T> {
  value: T;
  timer: TimerId;
}

export class Roster {
  readonly #members = new Map<string, Member>();
  readonly #typing = new Map<string, Fading<UserRef>>();
  readonly #bots = new Map<string, Fading<BotStatus>>();

  constructor(
    private readonly timers: Timers,
    private readonly changed: () => void,
  ) {}

  /** Returns the members: those who are there first, then by name. */
  members(): Member[] {
    const rank = (member: Member) => (member.status === 'offline' ? 1 : 0);
    return [...this.#members.values()].sort(
      (a, b) => rank(a) - rank(b) || a.user.display_name.localeCompare(b.user.display_name),
    );
  }

  typing(): UserRef[] {
    return [...this.#typing.values()].map((entry) => entry.value);
  }

  bots(): BotStatus[] {
    return [...this.#bots.values()].map((entry) => entry.value);
  }

  replace(members: readonly Member[]): void {
    this.#members.clear();
    for (const member of members) this.#members.set(member.user.id, member);
    this.changed();
  }

  clear(): void {
    for (const entry of [...this.#typing.values(), ...this.#bots.values()]) {
      this.timers.clearTimeout(entry.timer);
    }
    this.#typing.clear();
    this.#bots.clear();
    this.#members.clear();
  }

  apply(event: EventFrame): void {
    switch (event.type) {
      case 'member.joined':
      case 'member.role_changed':
      case 'member.updated':
        this.#change(event.data.user, { role: event.data.role }, event.at);
        break;
      case 'member.left':
        this.#members.delete(event.data.user.id);
        this.#stop(this.#typing, event.data.user.id);
        this.#stop(this.#bots, event.data.user.id);
        break;
      case 'message.created':
        this.#stop(this.#typing, event.data.sender.id);
        if (event.data.sender.kind === 'bot') this.#stop(this.#bots, event.data.sender.id);
        break;
      case 'message.completed':
        this.#ended(event.data.message, event.actor);
        break;
      default:
        return;
    }
    this.changed();
  }

  signal(frame: SignalFrame): void {
    switch (frame.type) {
      case 'typing':
        if (frame.data.on)
          this.#start(this.#typing, frame.data.user.id, frame.data.user, TYPING_MS);
        else this.#stop(this.#typing, frame.data.user.id);
        break;
      case 'presence':
        if (!this.#members.has(frame.data.user.id)) return;
        this.#change(frame.data.user, { status: frame.data.status });
        break;
      case 'bot.status':
        // Another call that waits does not hide what the bot is at.
        if (frame.data.state === 'queued' && this.#isAt(frame.data.bot.id)) return;
        this.#start(this.#bots, frame.data.bot.id, frame.data, BOT_STATUS_MS);
        break;
      default:
        return;
    }
    this.changed();
  }

  #isAt(bot: string): boolean {
    const state = this.#bots.get(bot)?.value.state;
    return state !== undefined && state !== 'queued';
  }

  #change(user: UserRef, change: Partial<Member>, joined_at = ''): void {
    const before = this.#members.get(user.id);
    const unknown = { role: 'member', status: 'online', joined_at } as const;
    this.#members.set(user.id, { ...(before ?? unknown), user, ...change });
  }

  #ended(message: string, actor: UserRef | null | undefined): void {
    for (const [id, entry] of this.#bots) {
      if (entry.value.message === message || id === actor?.id) this.#stop(this.#bots, id);
    }
  }

  #start<T>(map: Map<string, Fading<T>>, id: string, value: T, ms: number): void {
    this.#stop(map, id);
    const timer = this.timers.setTimeout(() => {
      map.delete(id);
      this.changed();
    }, ms);
    map.set(id, { value, timer });
  }

  #stop<T>(map: Map<string, Fading<T>>, id: string): void {
    const entry = map.get(id);
    if (!entry) return;
    this.timers.clearTimeout(entry.timer);
    map.delete(id);
  }
}
