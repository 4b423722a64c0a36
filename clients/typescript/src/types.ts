/**
 * The wire types of protocol v1, as a client sees them.
 *
 * They are generated from the published specs; here are the names that read better in a client.
 * Fields that a newer server adds are ignored; fields that an older one leaves out are optional.
 */

import type {
  Command as AnyCommand,
  Frame,
  Info,
  MessageCompleted,
  MessageDelta,
  Position,
  RoomState,
  TokenResponse,
} from './generated/schemas.js';

export type * from './generated/schemas.js';
export type { Operations, RawBody } from './generated/operations.js';

/** One page of a list. */
export interface Page<T> {
  items: T[];
  /** Where the next page starts; absent at the end. */
  next?: string | null;
}

/** A position in a room's log. */
export type Cursor = Position;
export type TokenGrant = TokenResponse;
export type ServerInfo = Info;
export type Delta = MessageDelta;
export type Completion = MessageCompleted;
export type RoomChange = RoomState;

export type ServerFrame = Frame;
type FrameOf<Op extends Frame['op']> = Extract<Frame, { op: Op }>;
export type WelcomeFrame = FrameOf<'welcome'>;
export type OkFrame = FrameOf<'ok'>;
export type ErrorFrame = FrameOf<'error'>;
export type SubscribedFrame = FrameOf<'subscribed'>;
export type EventFrame = FrameOf<'event'>;
export type SignalFrame = FrameOf<'signal'>;
export type ResyncFrame = FrameOf<'resync'>;
export type DrainFrame = FrameOf<'drain'>;

/** A frame that concerns one room. */
export type RoomFrame = SubscribedFrame | EventFrame | SignalFrame | ResyncFrame;

type CommandOf<Op extends AnyCommand['op']> = Extract<AnyCommand, { op: Op }>;

/** What a client sends and is answered; `id` is added by the connection. */
export type Command = CommandOf<
  'subscribe' | 'unsubscribe' | 'publish' | 'cancel' | 'command' | 'refresh'
>;

/** What a client sends without expecting an answer. */
export type Notice = CommandOf<'typing' | 'read' | 'signal' | 'presence' | 'ping'>;

/** The first frame, where the upgrade request proved nothing. */
export type Hello = CommandOf<'hello'>;
