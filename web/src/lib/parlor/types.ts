/**
 * The wire types of protocol v1, as a client sees them.
 *
 * Fields that a newer server adds are ignored; fields that the contract calls optional are optional
 * here. Nothing in this file has behavior.
 */

export type UserKind = 'user' | 'bot' | 'integration';
export type RoomKind = 'public' | 'private' | 'direct';
export type Role = 'owner' | 'moderator' | 'member';
export type PresenceStatus = 'online' | 'idle' | 'offline';
export type BotState = 'queued' | 'thinking' | 'streaming' | 'tool';
export type MessageStatus =
  'complete' | 'streaming' | 'completed' | 'cancelled' | 'failed' | 'interrupted';

/** The short form of a participant. */
export interface UserRef {
  id: string;
  username: string;
  display_name: string;
  kind: UserKind;
}

export interface User extends UserRef {
  role?: 'admin' | 'user';
  bio?: string;
}

export interface TokenGrant {
  user?: User;
  access_token: string;
  token_type: string;
  expires_in: number;
  refresh_token: string;
}

export interface Page<T> {
  items: T[];
  next: string | null;
}

export interface Room {
  id: string;
  slug: string;
  name: string;
  kind: RoomKind;
  topic: string;
  archived: boolean;
  epoch: string;
  seq: number;
  role: Role | null;
  unread: number;
  read_seq?: number;
  members?: number;
  participants?: UserRef[];
}

/** What a server tells about itself. */
export interface ServerInfo {
  version: string;
  registration: 'open' | 'invite' | 'closed';
  setup_required?: boolean;
}

/** A link that lets its holders join a room. */
export interface Invite {
  code: string;
  room: string;
  expires_at: string;
  uses_left: number;
}

/** Where an invite leads to. */
export interface InvitePreview extends Invite {
  slug: string;
  name: string;
  members: number;
}

export interface Member {
  user: UserRef;
  role: Role;
  status: PresenceStatus;
  joined_at?: string;
  muted_until?: string | null;
}

export interface Reaction {
  emoji: string;
  count: number;
  users: string[];
}

export interface ReplyError {
  code: string;
  detail: string;
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  estimated: boolean;
}

export interface Message {
  id: string;
  room: string;
  seq: number;
  sender: UserRef;
  client_id?: string | null;
  body: string;
  status: MessageStatus;
  reply_to?: string | null;
  thread?: string | null;
  created_at: string;
  edited_at?: string | null;
  redacted_at?: string | null;
  reactions?: Reaction[];
  bot?: { trigger: string; provider: string; model: string } | null;
  usage?: Usage | null;
  error?: ReplyError | null;
}

/** A position in a room's log. */
export interface Cursor {
  epoch: string;
  seq: number;
}

/** A reply that is being written, with the text so far and the number of its last chunk. */
export interface StreamingReply {
  message: string;
  turn: number;
  chunk: number;
  text: string;
}

export interface Limits {
  frame_bytes?: number;
  body_bytes?: number;
  subscriptions?: number;
}

export interface WelcomeFrame {
  op: 'welcome';
  session: string;
  user: UserRef;
  node: string;
  heartbeat_ms: number;
  limits: Limits;
}

export interface OkFrame {
  op: 'ok';
  re?: string;
  seq?: number;
  message?: string;
}

export interface ErrorFrame {
  op: 'error';
  re?: string;
  code: string;
  detail: string;
  retry_after_ms?: number;
}

export interface SubscribedFrame {
  op: 'subscribed';
  re?: string;
  room: string;
  slug: string;
  epoch: string;
  seq: number;
  resumed: boolean;
  streaming: StreamingReply[];
}

interface EventOf<T extends string, D> {
  op: 'event';
  room: string;
  seq: number;
  type: T;
  at: string;
  actor?: UserRef | null;
  data: D;
}

export interface RoomChange {
  slug: string;
  name: string;
  kind: RoomKind;
  topic: string;
  archived: boolean;
}

export interface MemberChange {
  user: UserRef;
  role: Role;
  muted_until?: string | null;
}

export interface ReactionChange {
  message: string;
  emoji: string;
  user: UserRef;
}

export interface Completion {
  message: string;
  body: string;
  status: MessageStatus;
  usage?: Usage | null;
  error?: ReplyError | null;
}

export type EventFrame =
  | EventOf<'room.created' | 'room.updated' | 'room.archived', RoomChange>
  | EventOf<'member.joined' | 'member.left' | 'member.role_changed', MemberChange>
  | EventOf<'message.created', Message>
  | EventOf<'message.edited', { message: string; body: string; edited_at: string }>
  | EventOf<'message.redacted', { message: string }>
  | EventOf<'message.completed', Completion>
  | EventOf<'reaction.added' | 'reaction.removed', ReactionChange>
  | EventOf<'history.reset', { through?: number }>;

interface SignalOf<T extends string, D> {
  op: 'signal';
  room: string;
  type: T;
  data: D;
}

export interface Delta {
  message: string;
  turn: number;
  chunk: number;
  text: string;
}

export interface BotStatus {
  bot: UserRef;
  message?: string;
  state: BotState;
  position?: number;
  detail?: string;
}

export type SignalFrame =
  | SignalOf<'typing', { user: UserRef; on: boolean }>
  | SignalOf<'presence', { user: UserRef; status: PresenceStatus }>
  | SignalOf<'receipt', { user: UserRef; seq: number }>
  | SignalOf<'message.delta', Delta>
  | SignalOf<'bot.status', BotStatus>
  | SignalOf<'app', { user: UserRef; data: unknown }>;

export interface ResyncFrame {
  op: 'resync';
  room: string;
  from: number;
  reason: string;
}

export interface DrainFrame {
  op: 'drain';
  reconnect_in_ms: number;
}

export type ServerFrame =
  | WelcomeFrame
  | OkFrame
  | ErrorFrame
  | SubscribedFrame
  | EventFrame
  | SignalFrame
  | ResyncFrame
  | DrainFrame
  | { op: 'pong' };

/** A frame that concerns one room. */
export type RoomFrame = SubscribedFrame | EventFrame | SignalFrame | ResyncFrame;

/** What a client sends; `id` is added by the connection where an answer is expected. */
export type Command =
  | { op: 'subscribe'; room: string; since?: Cursor }
  | { op: 'unsubscribe'; room: string }
  | { op: 'publish'; room: string; client_id: string; body: string; reply_to: string | null }
  | { op: 'cancel'; room: string; message: string }
  | { op: 'refresh'; token: string };

/** What a client sends without expecting an answer. */
export type Notice =
  | { op: 'typing'; room: string; on: boolean }
  | { op: 'read'; room: string; seq: number }
  | { op: 'ping' };
