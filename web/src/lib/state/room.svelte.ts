/**
 * What a room's view shows, as reactive state over its feed.
 *
 * Changes of the feed are gathered and taken over at most once per frame. The text of a streaming
 * reply has its own entry per message, so that a chunk touches nothing but that message.
 */

import { SvelteMap } from 'svelte/reactivity';

import type { BotStatus, Feed, FeedChange, Member, Message, OutgoingMessage, UserRef } from '@parlor/client';

/** A page in the background gets no frames; it takes changes over this often. */
const HIDDEN_MS = 500;

export class RoomView {
  messages = $state.raw<readonly Message[]>([]);
  outgoing = $state.raw<readonly OutgoingMessage[]>([]);
  members = $state.raw<readonly Member[]>([]);
  typing = $state.raw<readonly UserRef[]>([]);
  bots = $state.raw<readonly BotStatus[]>([]);
  phase = $state.raw<Feed['phase']>('offline');
  error = $state.raw<Feed['error']>(null);
  loaded = $state(false);
  hasOlder = $state(false);
  loadingOlder = $state(false);
  /** The last completed reply, said to those who do not see the page. */
  announcement = $state('');

  readonly #streams = new SvelteMap<string, string>();
  readonly #changedStreams = new Set<string>();
  #scheduled: { cancel: () => void } | null = null;
  readonly #stopListening: (() => void)[];

  constructor(readonly feed: Feed) {
    this.#stopListening = [
      feed.onChange.on((change) => this.#changed(change)),
      feed.onEvent.on((event) => {
        if (event.type !== 'message.completed') return;
        const message = feed.timeline.get(event.data.message);
        if (message) this.announcement = announce(message);
      }),
    ];
    feed.open();
    this.#take();
  }

  /** Returns what to show of a message now. */
  text(message: Message): string {
    if (message.status !== 'streaming') return message.body;
    return this.#streams.get(message.id) ?? this.feed.timeline.text(message);
  }

  find(id: string): Message | undefined {
    return this.messages.find((message) => message.id === id);
  }

  close(): void {
    this.#scheduled?.cancel();
    for (const stop of this.#stopListening) stop();
    this.feed.close();
  }

  #changed(change: FeedChange): void {
    if (change.kind === 'stream') for (const id of change.messages) this.#changedStreams.add(id);
    // What its author has just written must not wait for a frame.
    if (change.kind === 'outbox') this.outgoing = this.feed.outbox.messages();
    this.#scheduled ??= onNextFrame(() => this.#take());
  }

  #take(): void {
    this.#scheduled = null;
    const { timeline, roster, outbox } = this.feed;
    for (const id of this.#changedStreams) {
      const message = timeline.get(id);
      if (message?.status === 'streaming') this.#streams.set(id, timeline.text(message));
    }
    this.#changedStreams.clear();
    for (const id of [...this.#streams.keys()]) {
      if (timeline.get(id)?.status !== 'streaming') this.#streams.delete(id);
    }
    this.messages = timeline.messages();
    this.outgoing = outbox.messages();
    this.members = roster.members();
    this.typing = roster.typing();
    this.bots = roster.bots();
    this.phase = this.feed.phase;
    this.error = this.feed.error;
    this.loaded = this.feed.loaded;
    this.hasOlder = this.feed.hasOlder;
    this.loadingOlder = this.feed.loadingOlder;
  }
}

function onNextFrame(run: () => void): { cancel: () => void } {
  if (document.hidden) {
    const timer = setTimeout(run, HIDDEN_MS);
    return { cancel: () => clearTimeout(timer) };
  }
  let done = false;
  const once = () => {
    if (done) return;
    done = true;
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    run();
  };
  const frame = requestAnimationFrame(once);
  // The page may be hidden before the frame comes.
  const timer = setTimeout(once, HIDDEN_MS);
  return {
    cancel: () => {
      done = true;
      cancelAnimationFrame(frame);
      clearTimeout(timer);
    },
  };
}

function announce({ sender, status, body }: Message): string {
  const name = sender.display_name;
  switch (status) {
    case 'cancelled':
      return `${name}'s reply was stopped.`;
    case 'failed':
    case 'interrupted':
      return `${name}'s reply did not finish.`;
    default:
      return `${name} replied: ${body.slice(0, 300)}`;
  }
}
