/** What a room tells a program, and what it takes. */

import type { Api } from './api.js';
import type { Connection } from './connection.js';
import type { Resynced } from './gap.js';
import type { OutboxLimits, PublishFields } from './outbox.js';
import type { Ports } from './ports.js';
import type { ReplyProgress } from './reply-watch.js';
import type { SubscriptionPhase } from './subscription.js';
import type { EventFrame, Message, SignalFrame } from './types.js';

export interface RoomEvents {
  /** An entry of the room's log. */
  event: EventFrame;
  /** Something that is not stored: who writes, who is there, pieces of replies. */
  signal: SignalFrame;
  /** A message that is complete: as written, or a bot's reply at its end. */
  message: Message;
  /** A reply has more text, or begins anew. */
  reply: ReplyProgress;
  /** The position was lost; these messages were written meanwhile. */
  resync: Resynced;
  phase: SubscriptionPhase;
}

/** What a loop over a room gets. */
export type RoomItem = EventFrame | SignalFrame | Resynced;

export interface LoopOptions {
  /** Ends the loop with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** How many items may wait for the loop. */
  capacity?: number;
}

/** Where a message stands in the log. */
export interface Sent {
  clientId: string;
  seq: number;
  message: string;
}

export interface SendOptions extends PublishFields {
  /** Gives the message up; one that is under way may be written all the same. */
  signal?: AbortSignal | undefined;
}

export interface CommandOptions {
  /** Stops waiting; the command may be carried out all the same. */
  signal?: AbortSignal | undefined;
  /** My own id for what the command does. */
  clientId?: string;
}

/** What a room needs of the client that owns it. */
export interface RoomLink {
  ports: Ports;
  api: Api;
  connection: Connection;
  /** The id of the user that this client is logged in as. */
  me: () => string;
  outbox?: OutboxLimits;
  /** Forgets the room. */
  closed: (id: string) => void;
}
