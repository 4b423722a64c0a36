/**
 * One room as a program follows it: what happens there as events and loops, and messages that are
 * written for sure.
 *
 * Guarantees: every event comes once and in order, over reconnects and restarts of the server. What
 * cannot be continued is read from the history and told as `resync`. While nobody listens, and while
 * a loop is behind, events wait at the server; nothing is dropped but signals, nothing piles up here.
 */

import { abortable } from './abortable.js';
import { backoffMs } from './backoff.js';
import { Emitter, type ListenOptions } from './emitter.js';
import { asParlorError, ParlorError } from './errors.js';
import { Gap, type Resynced } from './gap.js';
import { Outbox } from './outbox.js';
import type { Unsubscribe } from './notifier.js';
import { Queue } from './queue.js';
import { ReplyWatch } from './reply-watch.js';
import type {
  CommandOptions,
  LoopOptions,
  RoomEvents,
  RoomItem,
  RoomLink,
  SendOptions,
  Sent,
} from './room-contract.js';
import { Subscription, type Started, type SubscriptionPhase } from './subscription.js';
import type {
  CommandAnswer,
  Cursor,
  EventFrame,
  Message,
  Room,
  RoomFrame,
  SignalFrame,
} from './types.js';

/** Items that wait for a loop before the room waits at the server. */
const CAPACITY = 1_024;
const RETRY_FOREVER = { maxTries: Infinity };

export class ParlorRoom extends Emitter<RoomEvents> {
  readonly id: string;
  readonly #subscription: Subscription;
  readonly #outbox: Outbox;
  readonly #gap: Gap;
  readonly #replies = new ReplyWatch();
  readonly #loops = new Set<Pick<Queue<unknown>, 'isFull' | 'end'>>();
  readonly #flushed = new Set<() => void>();
  readonly #listening = new Set<symbol>();
  readonly #unheard: (() => void)[] = [];
  #closed: ParlorError | null = null;

  constructor(
    /** The room as it was when it was opened. */
    readonly room: Room,
    start: Cursor | null,
    private readonly link: RoomLink,
  ) {
    super();
    this.id = room.id;
    const { connection, ports, api } = link;
    this.#subscription = new Subscription(room.id, start, {
      ports,
      command: (command) => connection.command(command),
    });
    this.#outbox = new Outbox(
      room.id,
      ports,
      (command) => connection.command(command).answer,
      () => this.#outboxChanged(),
      { ...RETRY_FOREVER, ...link.outbox },
    );
    this.#gap = new Gap({
      history: (query) => api.messages(room.id, query),
      later: (attempt, run) => ports.timers.setTimeout(run, backoffMs(attempt, ports)),
      listened: () => this.#listened(),
      event: (event) => this.#apply(event),
      signal: (signal) => this.#signal(signal),
      resync: (resynced) => this.#resynced(resynced),
      overflow: () => this.#pace(),
    });
    this.#subscription.pause();
    this.#subscription.onPhase.on((phase) => this.#phaseChanged(phase));
    this.#subscription.onStarted.on((started) => this.#started(started));
    this.#subscription.onEvent.on((event) => this.#event(event));
    this.#subscription.onSignal.on((signal) => this.#gap.signal(signal));
  }

  /** Calls back at each event. What happens while nobody listens waits at the server. */
  override on<Name extends keyof RoomEvents>(
    name: Name,
    listener: (event: RoomEvents[Name]) => void,
    options?: ListenOptions,
  ): Unsubscribe {
    const off = super.on(name, listener, options);
    // The phase is not from the log.
    if (name === 'phase' || options?.signal?.aborted) return off;
    const listening = Symbol(name);
    const leave = () => {
      off();
      options?.signal?.removeEventListener('abort', leave);
      if (this.#listening.delete(listening)) this.#pace();
    };
    options?.signal?.addEventListener('abort', leave, { once: true });
    this.#listening.add(listening);
    for (const heard of this.#unheard.splice(0)) heard();
    this.#pace();
    return leave;
  }

  get phase(): SubscriptionPhase {
    return this.#subscription.phase;
  }

  /** The position after the last event that was told; null until the first subscription. */
  get cursor(): Cursor | null {
    return this.#subscription.cursor;
  }

  /** How many messages of mine wait to be written. */
  get unsent(): number {
    return this.#outbox.messages().length;
  }

  /** Loops over the complete messages of others; with `own` over mine too. */
  messages(
    options: LoopOptions & { own?: boolean } = {},
  ): AsyncIterableIterator<Message, undefined> {
    return this.#loop<Message>(options, (push) => [
      this.on('message', (message) => {
        if (options.own || message.sender.id !== this.link.me()) push(message);
      }),
    ]);
  }

  /** Loops over the log, and over signals if asked to. A loop that is behind misses signals. */
  items(
    options: LoopOptions & { signals?: boolean } = {},
  ): AsyncIterableIterator<RoomItem, undefined> {
    return this.#loop<RoomItem>(options, (push, queue) => [
      this.on('event', push),
      this.on('resync', push),
      ...(options.signals ? [this.on('signal', (signal) => !queue.isFull && push(signal))] : []),
    ]);
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Message, undefined> {
    return this.messages();
  }

  /**
   * Writes a message and returns where it stands, once the server has kept it.
   *
   * It is repeated under the same `client_id` until it is answered, so it is written once. Messages
   * of a room keep their order. Fails with `outbox_full` when too many wait.
   */
  send(body: string, { signal, ...fields }: SendOptions = {}): Promise<Sent> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      if (this.#closed) throw this.#closed;
      let clientId: string | null = null;
      const giveUp = () => {
        reject(signal?.reason as Error);
        if (clientId) this.#outbox.discard(clientId);
      };
      const { reply_to = null, ...rest } = fields;
      clientId = this.#outbox.publish(body, reply_to, rest, (answer, error) => {
        signal?.removeEventListener('abort', giveUp);
        if (error || answer?.op !== 'ok') reject(error ?? new ParlorError('internal', 'no answer'));
        else
          resolve({
            clientId: clientId ?? '',
            seq: answer.seq ?? 0,
            message: answer.message ?? '',
          });
      });
      if (clientId) signal?.addEventListener('abort', giveUp, { once: true });
      else reject(new ParlorError('outbox_full', 'too many messages wait to be written'));
    });
  }

  /** Returns when every message of mine is written or has failed. */
  flush({ signal }: Pick<LoopOptions, 'signal'> = {}): Promise<void> {
    let done: () => void = () => undefined;
    const flushed = new Promise<void>((resolve) => {
      done = resolve;
      if (this.unsent === 0) resolve();
      else this.#flushed.add(resolve);
    });
    return abortable(flushed, signal).finally(() => this.#flushed.delete(done));
  }

  /** Writes a message to a bot and returns its reply, when that has ended. */
  async ask(body: string, options: SendOptions = {}): Promise<Message> {
    const replies = this.messages({ signal: options.signal });
    try {
      const { message: question } = await this.send(body, options);
      for await (const reply of replies) if (reply.bot?.trigger === question) return reply;
      throw new ParlorError('closed', 'the room was closed before the reply');
    } finally {
      await replies.return?.();
    }
  }

  /** Returns the text so far of a reply that is being written. */
  textSoFar(message: string): string | undefined {
    return this.#replies.text(message);
  }

  /** Stops a bot's reply. */
  async cancel(message: string, { signal }: Pick<LoopOptions, 'signal'> = {}): Promise<void> {
    const { connection } = this.link;
    await abortable(connection.command({ op: 'cancel', room: this.id, message }).answer, signal);
  }

  /**
   * Carries out a slash command, such as `/topic Tea`, and returns what came of it, for me only.
   *
   * It is not repeated by itself. Under the same `clientId` a message that it writes is one.
   */
  async command(text: string, { signal, clientId }: CommandOptions = {}): Promise<CommandAnswer> {
    const { connection } = this.link;
    const more = clientId ? { client_id: clientId } : {};
    const sent = connection.command({ op: 'command', room: this.id, text, ...more });
    const answer = await abortable(sent.answer, signal);
    if (answer.op === 'ok' && answer.answer) return answer.answer;
    throw new ParlorError('internal', 'no answer');
  }

  /** Says that I write, or have stopped; lost when there is no connection. */
  typing(on: boolean): void {
    this.link.connection.notice({ op: 'typing', room: this.id, on });
  }

  /** Says that I have read up to `seq`. */
  read(seq: number): void {
    this.link.connection.notice({ op: 'read', room: this.id, seq });
  }

  /** Tells the others something that is not stored, up to 4 KiB of JSON. */
  signal(data: unknown): void {
    this.link.connection.notice({ op: 'signal', room: this.id, data });
  }

  /** Stops following the room. Loops end, messages that wait are given up. */
  close(error: ParlorError | null = null): void {
    if (this.#closed) return;
    this.#closed = error ?? new ParlorError('closed', 'the room was closed');
    this.#gap.stop();
    for (const queue of [...this.#loops]) queue.end(error);
    this.#outbox.abandon(this.#closed);
    this.#subscription.pause();
    this.link.closed(this.id);
  }

  /** The connection is open. */
  connected(): void {
    this.#subscription.connected();
    // Who waits at the server may still write.
    if (this.phase === 'paused') this.#outbox.connected();
  }

  /** The connection is gone. */
  disconnected(): void {
    this.#outbox.disconnected();
    this.#subscription.disconnected();
  }

  /** Takes a frame of this room. */
  receive(frame: RoomFrame): void {
    this.#subscription.receive(frame);
  }

  #loop<T>(
    { signal, capacity = CAPACITY }: LoopOptions,
    listen: (push: (item: T) => void, queue: Queue<T>) => (() => void)[],
  ): Queue<T> {
    let listeners: (() => void)[] = [];
    const queue: Queue<T> = new Queue<T>({
      capacity,
      signal,
      onFull: () => this.#pace(),
      onEnd: () => {
        for (const off of listeners) off();
        this.#loops.delete(queue);
        this.#pace();
      },
    });
    if (queue.hasEnded) return queue;
    listeners = listen((item) => queue.push(item), queue);
    this.#loops.add(queue);
    if (this.#closed) queue.end(this.#closed);
    return queue;
  }

  /** The slowest reader sets the pace. */
  #pace(): void {
    if (this.#closed) return;
    const behind =
      this.#listening.size === 0 ||
      this.#gap.isFull ||
      [...this.#loops].some((queue) => queue.isFull);
    if (behind) this.#subscription.pause();
    else this.#subscription.resume();
  }

  #listened(): Promise<void> {
    if (this.#listening.size > 0) return Promise.resolve();
    return new Promise((resolve) => this.#unheard.push(resolve));
  }

  #phaseChanged(phase: SubscriptionPhase): void {
    this.emit('phase', phase);
    if (phase === 'gone') this.close(this.#subscription.error);
  }

  #started({ lost, before, streaming }: Started): void {
    const unknown = this.#replies.begin(streaming);
    const now = this.#subscription.cursor;
    if (lost && before && now) this.#gap.open(before, now, () => this.#subscription.resyncReason);
    else if (unknown) void this.#learn();
    this.#outbox.connected();
  }

  /** Reads who writes the replies that began before this client came. */
  async #learn(): Promise<void> {
    try {
      const page = await this.link.api.messages(this.id, { limit: 50 });
      for (const message of page.items) this.#replies.created(message);
    } catch (error) {
      // Their ends will be told as events all the same.
      if (!asParlorError(error).retryable) return;
    }
  }

  #event(event: EventFrame): void {
    if (event.type === 'message.created' && event.data.client_id) {
      const { client_id, seq, id } = event.data;
      this.#outbox.settle(client_id, { op: 'ok', seq, message: id });
    }
    this.#gap.event(event);
  }

  #apply(event: EventFrame): void {
    const message = this.#replies.event(event);
    this.emit('event', event);
    if (message) this.emit('message', message);
    if (event.type === 'member.left' && event.data.user.id === this.link.me()) {
      this.#subscription.leave();
    }
  }

  #signal(signal: SignalFrame): void {
    this.emit('signal', signal);
    if (signal.type !== 'message.delta') return;
    const progress = this.#replies.delta(signal.data);
    if (progress === 'hole') this.#subscription.repair();
    else if (progress) this.emit('reply', progress);
  }

  #resynced(resynced: Resynced): void {
    this.emit('resync', resynced);
    for (const message of resynced.missed) {
      if (this.#replies.created(message)) this.emit('message', message);
    }
  }

  #outboxChanged(): void {
    for (const message of this.#outbox.messages()) {
      // Whoever wrote it was told; it is not kept.
      if (message.state === 'sent') this.#outbox.settle(message.clientId);
      else if (message.state === 'failed') this.#outbox.discard(message.clientId);
    }
    if (this.unsent === 0) for (const done of [...this.#flushed]) done();
  }
}
