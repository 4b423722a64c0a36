// Generated from the published specs by `npm run generate`. Do not edit.

/** A command was carried out. */
export interface Accepted {
  /** For `command`: what came of it. */
  answer?: CommandAnswer | null;
  /** For `publish`: whether this `client_id` had been written before. */
  duplicate?: boolean;
  /** For `publish`, and a command that writes one: the id of the message. */
  message?: MessageId | null;
  /** The command's id. */
  re?: string | null;
  /** For `publish`, and a command that writes one: the position of the message. */
  seq?: number | null;
}

/** A login, and whose it is. */
export interface AdminSession {
  /** The client's name, as far as it was told. */
  client: string;
  /** When it began. */
  created_at: Timestamp;
  /** When it ends unless it is refreshed. */
  expires_at: Timestamp;
  /** The id. */
  id: SessionId;
  /** Whose. */
  user: UserRef;
}

/** One page of a list. */
export interface AdminSessionPage {
  /** The items. */
  items: AdminSession[];
  /** Where the next page starts; absent at the end. */
  next?: string | null;
}

/** A user as administrators see them. */
export interface AdminUser {
  /** Whether they may log in. */
  active: boolean;
  /** The path of the picture, which changes with it; absent when there is none. */
  avatar?: string | null;
  /** What the user says about themselves; empty when hidden. */
  bio?: string;
  /** When the account was made. */
  created_at: Timestamp;
  /** The name to show. */
  display_name: string;
  /** The e-mail address; only in one's own profile. */
  email?: string | null;
  /** The id. */
  id: UserId;
  /** Person, bot or integration. */
  kind: UserKind;
  /** The server-wide role. */
  role: ServerRole;
  /** The unique name. */
  username: string;
  /** Who may see the bio. */
  visibility: Visibility;
}

/** One page of a list. */
export interface AdminUserPage {
  /** The items. */
  items: AdminUser[];
  /** Where the next page starts; absent at the end. */
  next?: string | null;
}

/** That the process is alive. */
export interface Alive {
  /** Always `ok`. */
  status: string;
}

/** What a member's client sent. */
export interface App {
  /** Any JSON. */
  data: unknown;
  /** Who. */
  user: UserRef;
}

/** A file that belongs to a message. */
export interface Attachment {
  /** The size in bytes. */
  bytes: number;
  /** For an image: its height in pixels. */
  height?: number | null;
  /** The id. */
  id: FileId;
  /** The media type. */
  media_type: string;
  /** The file's name. */
  name: string;
  /** For an image: its width in pixels. */
  width?: number | null;
}

/** Someone who may not enter a room. */
export interface Ban {
  /** When. */
  at: Timestamp;
  /** The moderator who did it; absent when that account is gone. */
  by?: UserRef | null;
  /** What was given as the reason. */
  reason?: string | null;
  /** When it ends by itself; absent: when a moderator lifts it. */
  until?: Timestamp | null;
  /** Who. */
  user: UserRef;
}

/** One page of a list. */
export interface BanPage {
  /** The items. */
  items: Ban[];
  /** Where the next page starts; absent at the end. */
  next?: string | null;
}

/** A bot. */
export interface Bot {
  /** Messages of the room that it is shown at most. */
  context_messages: number;
  /** When it was made. */
  created_at: Timestamp;
  /** Longest reply in tokens. */
  max_tokens?: number | null;
  /** How far back it remembers, in seconds; 0: without end. */
  memory_ttl_seconds: number;
  /** The model; absent: the provider's default. */
  model?: string | null;
  /** Who made it. */
  owner?: UserId | null;
  /** The provider; absent: the server's default. */
  provider?: string | null;
  /** What the bot is told about itself; only for administrators and its maker. */
  system_prompt?: string | null;
  /** Sampling temperature. */
  temperature?: number | null;
  /** When it answers. */
  trigger: Trigger;
  /** The bot's user. */
  user: UserRef;
}

/** One page of a list. */
export interface BotPage {
  /** The items. */
  items: Bot[];
  /** Where the next page starts; absent at the end. */
  next?: string | null;
}

/** What a bot's message answers, and by which model. */
export interface BotReply {
  /** The model. */
  model: string;
  /** The provider, such as `ollama` or `demo`. */
  provider: string;
  /** The message that called the bot. */
  trigger: MessageId;
}

/** What a bot does. */
export type BotState = 'queued' | 'thinking' | 'streaming' | 'tool';

/** What a bot is doing. */
export interface BotStatus {
  /** Which bot. */
  bot: UserRef;
  /** For `tool` and long preparations: what it waits for. */
  detail?: string | null;
  /** The reply, once there is one. */
  message?: MessageId | null;
  /** For `queued`: how many replies come first, plus one. */
  position?: number | null;
  /** What it does. */
  state: BotState;
}

/** A bot's duty to answer a message. */
export interface Cancelled {
  /** The duty. */
  job: JobId;
}

/** Whether somebody is in front of a client, as far as it can tell. */
export type ClientStatus = 'online' | 'idle';

/** What went wrong, in a word that never changes. */
export type Code =
  /** The request cannot be read. */
  | 'bad_request'
  /** There is no valid proof of who is asking. */
  | 'unauthenticated'
  /** The access token has expired; refresh it. */
  | 'token_expired'
  /** The caller is known and may not do this. */
  | 'forbidden'
  /** It does not exist, or the caller may not know that it does. */
  | 'not_found'
  /** It contradicts what exists. */
  | 'conflict'
  /** The request, frame or body is larger than the limit. */
  | 'payload_too_large'
  /** This version does not do that. */
  | 'unsupported'
  /** A field has a value that is not allowed. */
  | 'validation_failed'
  /** Too many requests; try again after the given time. */
  | 'rate_limited'
  /** The budget for model tokens is spent. */
  | 'budget_exhausted'
  /** The room has as many members as it may have. */
  | 'room_full'
  /** Only members may do this. */
  | 'not_a_member'
  /** The position cannot be continued; read the history again. */
  | 'resync_required'
  /** The model provider failed. */
  | 'provider_error'
  /** The model provider cannot be reached. */
  | 'provider_unavailable'
  /** Something that is needed is away for the moment; try again. */
  | 'unavailable'
  /** A fault of the server. */
  | 'internal';

/** One frame from a client. */
export type Command =
  /** Proves who is there; the first frame unless the upgrade request already did. */
  | {
    /** The client's name and version. */
    client?: string | null;
    /** How the pieces of replies are to come; `gathered` without it. */
    deltas?: Deltas | null;
    /** Which families of signals are to come; all without it. Events always come. */
    intents?: SignalFamily[] | null;
    op: 'hello';
    /** The access token. */
    token: string;
  }
  /** Follows a room. */
  | {
    /** Echoed as `re`. */
    id?: string | null;
    op: 'subscribe';
    /** The room. */
    room: RoomRef;
    /** Where to continue; without it, at the present. */
    since?: Since | null;
  }
  /** Stops following a room. */
  | {
    /** Echoed as `re`. */
    id?: string | null;
    op: 'unsubscribe';
    /** The room. */
    room: RoomRef;
  }
  /** Writes a message. */
  | {
    /** The author's finished uploads that belong to it. */
    attachments?: FileId[];
    /** The text; may be empty where there are attachments. */
    body: string;
    /** The author's own id: the same one is one message, however often it is sent. */
    client_id?: string | null;
    /** Echoed as `re`. */
    id?: string | null;
    op: 'publish';
    /** The message it answers. */
    reply_to?: MessageId | null;
    /** The room. */
    room: RoomRef;
    /** The message whose thread it belongs to. */
    thread?: MessageId | null;
  }
  /** Tells whether the user writes. */
  | {
    /** Echoed as `re` in an error. */
    id?: string | null;
    /** Whether they write. */
    on: boolean;
    op: 'typing';
    /** The room. */
    room: RoomRef;
  }
  /** Tells whether somebody is in front of the client. */
  | {
    /** Echoed as `re`. */
    id?: string | null;
    op: 'presence';
    /** How the client stands. */
    status: ClientStatus;
  }
  /** Sends a signal of the client's own to all in the room. */
  | {
    /** Any JSON, up to `limits.signal_bytes`. */
    data: unknown;
    /** Echoed as `re` in an error. */
    id?: string | null;
    op: 'signal';
    /** The room. */
    room: RoomRef;
  }
  /** Moves the read marker. */
  | {
    /** Echoed as `re`. */
    id?: string | null;
    op: 'read';
    /** The room. */
    room: RoomRef;
    /** Everything up to here is read. */
    seq: number;
  }
  /** Stops a bot's reply. */
  | {
    /** Echoed as `re`. */
    id?: string | null;
    /** The reply. */
    message: MessageId;
    op: 'cancel';
    /** The room. */
    room: RoomRef;
  }
  /** Carries out a slash command. */
  | {
    /** The author's own id for the message that it may write: the same one is one message. */
    client_id?: string | null;
    /** Echoed as `re`. */
    id?: string | null;
    op: 'command';
    /** The room. */
    room: RoomRef;
    /** The command with its slash, such as `/topic Tea`. */
    text: string;
  }
  /** Replaces the access token before it expires. */
  | {
    /** Echoed as `re`. */
    id?: string | null;
    op: 'refresh';
    /** The new access token of the same session. */
    token: string;
  }
  /** Asks for a `pong`. */
  | {
    op: 'ping';
  };

/** What came of a command. Only the caller sees it; what others see is an event. */
export type CommandAnswer =
  /** A message was written. */
  | {
    kind: 'message';
    /** The message. */
    message: MessageId;
    /** Its position. */
    seq: number;
  }
  /** Something is as it was asked for. */
  | {
    kind: 'changed';
    /** What, in a sentence. */
    text: string;
  }
  /** A list of commands. */
  | {
    /** The commands. */
    items: CommandHelp[];
    kind: 'list';
  }
  /** Messages of the room, best first. */
  | {
    /** The messages. */
    items: CommandHit[];
    kind: 'found';
  }
  /** Something to read. */
  | {
    kind: 'text';
    /** The text. */
    text: string;
  };

/** How a command is written. */
export interface CommandHelp {
  /** What it does. */
  description: string;
  /** How it is written, such as `/ban USER [TIME]`. */
  usage: string;
}

/** A message that a command has found. */
export interface CommandHit {
  /** When it was written. */
  created_at: Timestamp;
  /** The message. */
  message: MessageId;
  /** Who wrote it. */
  sender: UserRef;
  /** Its position. */
  seq: number;
  /** A part of the text around what was found. */
  snippet: Snippet;
}

/** A registered command. */
export type CommandId = string;

/** How many lines of each kind a file has. */
export interface Counts {
  /** Of `member`. */
  members: number;
  /** Of `message`. */
  messages: number;
  /** Of `person`. */
  people: number;
  /** Of `reaction`. */
  reactions: number;
  /** Of `version`. */
  versions: number;
}

/** A new bot. */
export interface CreateBotRequest {
  /** Messages of the room that it is shown at most. */
  context_messages?: number | null;
  /** The name to show. */
  display_name?: string | null;
  /** Longest reply in tokens. */
  max_tokens?: number | null;
  /** How far back it remembers, in seconds; 0: without end. */
  memory_ttl_seconds?: number | null;
  /** The model; absent: the provider's default. */
  model?: string | null;
  /** Its user name. */
  name: string;
  /** The provider; absent: the server's default. */
  provider?: string | null;
  /** What the bot is told about itself. */
  system_prompt?: string | null;
  /** Sampling temperature, 0–2. */
  temperature?: number | null;
  /** When it answers; `mention` when absent. */
  trigger?: Trigger | null;
}

/** A new command of a room that another program answers. */
export interface CreateCommandRequest {
  /** What it does. */
  description: string;
  /** The name, without the slash: lower-case letters, digits, hyphens. */
  name: string;
  /** The room, by id or short name. */
  room: string;
  /** Who answers it. */
  url: string;
}

/** A new integration: another program that posts into a room. */
export interface CreateIntegrationRequest {
  /** The name under which it posts. */
  name: string;
}

/** A new invite link. */
export interface CreateInviteRequest {
  /** Seconds until it stops working; a week when absent, 30 days at most. */
  expires_in?: number | null;
  /** How many may join by it; 25 when absent, 1,000 at most. */
  max_uses?: number | null;
}

/** A new room. */
export interface CreateRoomRequest {
  /** Names of the first bots. */
  bots?: string[];
  /** Makes a repeated request give the first answer again; also as `Idempotency-Key`. */
  client_id?: string | null;
  /** Public, private or direct. */
  kind: RoomKind;
  /** User names of the first members, besides the caller. */
  members?: string[];
  /** The name to show, 1–80 characters. */
  name: string;
  /** The unique short name; made from the name when absent. */
  slug?: string | null;
  /** What it is about. */
  topic?: string | null;
}

/** A new personal access token. */
export interface CreateTokenRequest {
  /** Its life in seconds; a year when absent, which is also the longest. */
  expires_in?: number | null;
  /** What it is for, in the owner's words. */
  name: string;
  /** What it may be used for; at least one. */
  scopes: Scope[];
}

/** A new upload. */
export interface CreateUploadRequest {
  /** Its size in bytes. */
  bytes: number;
  /** Makes a repeated request give the same upload again; also as `Idempotency-Key`. */
  client_id?: string | null;
  /** The file's name. */
  name: string;
}

/** A new outgoing webhook. */
export interface CreateWebhookRequest {
  /** Types of events, such as `message.created`; all when absent or empty. */
  events?: string[];
  /** Where events are posted to. */
  url: string;
}

/** Deactivates one's own account. */
export interface DeactivateRequest {
  /** The present password. */
  password: string;
}

/** An event that was given up. */
export interface DeadLetter {
  /** When it was given up. */
  at: Timestamp;
  /** How often it was attempted. */
  attempts: number;
  /** How the last attempt ended. */
  outcome: string;
  /** The event. */
  seq: number;
}

/** One page of a list. */
export interface DeadLetterPage {
  /** The items. */
  items: DeadLetter[];
  /** Where the next page starts; absent at the end. */
  next?: string | null;
}

/** Removes a member. */
export interface DeleteMemberRequest {
  /** Why, in one line of at most 500 characters; the room is told. Empty: none. Not for leaving. */
  reason?: string | null;
}

/** Rooms that were deleted. */
export interface DeletedRooms {
  /** Their ids. */
  deleted: RoomId[];
}

/** How a connection is told the pieces of replies (`message.delta`). */
export type Deltas = 'gathered' | 'live' | 'none';

/** The state of one thing that the server depends on. */
export interface Dependency {
  /** What is wrong. */
  detail?: string | null;
  /** What it is, such as `sqlite`. */
  kind: string;
  /** Whether it works. */
  ok: boolean;
}

/** The node is going away. */
export interface Drain {
  /** When this client should connect again. */
  reconnect_in_ms: number;
}

/** A changed message. */
export interface EditMessageRequest {
  /** The new text. */
  body: string;
}

/** Erases one's own account. */
export interface EraseRequest {
  /** What becomes of one's messages. */
  messages: ErasedMessages;
  /** The present password. */
  password: string;
}

/** Erases another's account. */
export interface EraseUserRequest {
  /** What becomes of their messages. */
  messages: ErasedMessages;
}

/** What becomes of the messages of an erased account. */
export type ErasedMessages = 'keep' | 'redact';

/** One entry of a room's log. */
export type Event = {
  /** Who did it; absent when the server did. */
  actor?: UserRef | null;
  /** When it was committed. */
  at: Timestamp;
  /** The room. */
  room: RoomId;
  /** The position: 1, 2, 3 … in each room. */
  seq: number;
} & (
  /** The room was made. */
  | {
    data: RoomState;
    type: 'room.created';
  }
  /** Name, topic or settings changed. */
  | {
    data: RoomState;
    type: 'room.updated';
  }
  /** The room was closed for new messages, or opened again. */
  | {
    data: RoomState;
    type: 'room.archived';
  }
  /** Someone became a member. */
  | {
    data: MemberChange;
    type: 'member.joined';
  }
  /** Someone left, was kicked or banned. */
  | {
    data: MemberChange;
    type: 'member.left';
  }
  /** A member's role or mute changed. */
  | {
    data: MemberChange;
    type: 'member.role_changed';
  }
  /** A member is called differently. */
  | {
    data: MemberChange;
    type: 'member.updated';
  }
  /** A message was written, or a bot began a reply. */
  | {
    data: Message;
    type: 'message.created';
  }
  /** A message's text changed. */
  | {
    data: MessageEdited;
    type: 'message.edited';
  }
  /** A message's text was removed. */
  | {
    data: MessageRedacted;
    type: 'message.redacted';
  }
  /** A message was pinned. */
  | {
    data: PinChange;
    type: 'message.pinned';
  }
  /** A message is pinned no longer. */
  | {
    data: PinChange;
    type: 'message.unpinned';
  }
  /** A bot's reply has ended. */
  | {
    data: MessageCompleted;
    type: 'message.completed';
  }
  /** Someone reacted. */
  | {
    data: ReactionChange;
    type: 'reaction.added';
  }
  /** Someone took a reaction back. */
  | {
    data: ReactionChange;
    type: 'reaction.removed';
  }
  /** Everything before this event is gone. */
  | {
    data: HistoryReset;
    type: 'history.reset';
  }
);

/** One field of a request that is not as it should be. */
export interface FieldError {
  /** What is wrong, in a word. */
  code: string;
  /** What is wrong and what is allowed, in a sentence. */
  detail: string;
  /** The field's name. */
  field: string;
}

/** Where a file can be fetched for a short time, by whoever has the address. */
export interface FileAddress {
  /** Until when it works. */
  expires_at: Timestamp;
  /** The address. It is relative to the server's where the server does not know its own. */
  url: string;
}

/** A file, from its upload to its end. */
export type FileId = string;

/** A room in short. */
export interface FoundRoom {
  /** The id. */
  id: RoomId;
  /** Who may find and enter it. */
  kind: RoomKind;
  /** The name to show. */
  name: string;
  /** The unique short name. */
  slug: string;
}

/** One frame from the server. */
export type Frame =
  /** The connection is authenticated. */
  | Welcome & {
    op: 'welcome';
  }
  /** A command was carried out. */
  | Accepted & {
    op: 'ok';
  }
  /** A command was refused, or the connection has a problem. */
  | Refused & {
    op: 'error';
  }
  /** A room is being followed; events after `seq` come next. */
  | Subscribed & {
    op: 'subscribed';
  }
  /** An entry of a room's log. */
  | Event & {
    op: 'event';
  }
  /** A signal. */
  | Signal & {
    op: 'signal';
  }
  /** The client's position cannot be continued: read the history, then subscribe at `from`. */
  | Resync & {
    op: 'resync';
  }
  /** The node is going away. */
  | Drain & {
    op: 'drain';
  }
  /** The answer to `ping`. */
  | {
    op: 'pong';
  };

/** A part of a text. Positions count characters (Unicode code points), from 0. */
export interface Highlight {
  /** The character after the last one. */
  end: number;
  /** The first character. */
  start: number;
}

/** Everything before this event is gone. */
export interface HistoryReset {
  /** The position of the last event that is gone. */
  through: number;
}

/** A message that an integration has posted. */
export interface HookPosted {
  /** The message. */
  message: MessageId;
  /** Its position. */
  seq: number;
}

/**
 * What a program posts. Fields that it does not know are passed over: many programs send those of
 * another chat as well.
 */
export interface HookRequest {
  /** The program's own id: the same one is one message. */
  client_id?: string | null;
  /** The text. */
  text: string;
  /** On whose behalf; shown before the text. */
  username?: string | null;
}

/** What came of the file of a room, or would come of it. */
export interface ImportReport {
  /** Files that messages of the room had, and have no more. */
  attachments_left_out: number;
  /** What the file holds. */
  counts: Counts;
  /** Whether the file was only checked. */
  dry_run: boolean;
  /** Who the people of the file are here; the first 1,000. */
  people: ImportedPerson[];
  /** The room that was made, as the caller sees it. */
  room?: Room | null;
}

/** Who someone of the file is here. */
export interface ImportedPerson {
  /** Whether it is an account that was there; else one was made that cannot log in. */
  existing: boolean;
  /** The user name here. */
  here: string;
  /** The user name in the file. */
  username: string;
}

/** What this server is. */
export interface Info {
  /** Limits of a connection. */
  limits: Limits;
  /** Always `parlor`. */
  name: string;
  /** Rates by name; none when they are switched off. */
  rates?: Record<string, RateRule>;
  /** Whether anyone may register. */
  registration: Registration;
  /** Whether the first administrator is still to be made. */
  setup_required: boolean;
  /** The WebSocket subprotocols. */
  subprotocols: string[];
  /** The version. */
  version: string;
}

/** Another program that posts into a room, without its secret. */
export interface Integration {
  /** When it was made. */
  created_at: Timestamp;
  /** Who made it. */
  creator: UserRef;
  /** The id, which is that of its user. */
  id: UserId;
  /** When its address was last used, to the minute. */
  last_used_at?: Timestamp | null;
  /** The beginning of the secret in its address. */
  prefix: string;
  /** Who its messages are by. */
  user: UserRef;
}

/** One page of a list. */
export interface IntegrationPage {
  /** The items. */
  items: Integration[];
  /** Where the next page starts; absent at the end. */
  next?: string | null;
}

/** An invite link's code. */
export interface Invite {
  /** The code; whoever has it may join. */
  code: string;
  /** Who made it; only for those who may revoke it. */
  creator?: UserRef | null;
  /** When it stops working. */
  expires_at: Timestamp;
  /** The room. */
  room: RoomId;
  /** How many more may join by it. */
  uses_left: number;
}

/** One page of a list. */
export interface InvitePage {
  /** The items. */
  items: Invite[];
  /** Where the next page starts; absent at the end. */
  next?: string | null;
}

/** The room behind an invite link, for those who have its code. */
export interface InvitePreview {
  /** The code; whoever has it may join. */
  code: string;
  /** Who made it; only for those who may revoke it. */
  creator?: UserRef | null;
  /** When it stops working. */
  expires_at: Timestamp;
  /** What kind of room it is. */
  kind: RoomKind;
  /** How many members it has. */
  members: number;
  /** The room's name. */
  name: string;
  /** The room. */
  room: RoomId;
  /** The room's short name. */
  slug: string;
  /** What the room is about. */
  topic: string;
  /** How many more may join by it. */
  uses_left: number;
}

/** The durable duty of one bot to answer one message. */
export type JobId = string;

/** Why a membership ended. */
export type LeaveReason = 'left' | 'kicked' | 'banned' | 'deleted';

/** Limits and defaults of one connection. */
export interface Limits {
  /** Files of one message. */
  attachments?: number;
  /** Largest message body, in bytes. */
  body_bytes: number;
  /** Largest file, in bytes. */
  file_bytes?: number;
  /** Largest frame, in bytes. */
  frame_bytes: number;
  /** Bytes that may wait for one connection before it is degraded and then closed. */
  outbox_bytes: number;
  /** Largest part of an upload, in bytes. */
  part_bytes?: number;
  /** Largest `data` of a `signal`, in bytes. */
  signal_bytes: number;
  /** Rooms that one connection may subscribe to. */
  subscriptions: number;
}

/** One member of a room. */
export interface Member {
  /** Since when they are a member. */
  joined_at: Timestamp;
  /** What was given as the reason for that. */
  mute_reason?: string | null;
  /** Until when they may not write. */
  muted_until?: Timestamp | null;
  /** The role in this room. */
  role: Role;
  /** Whether they are there. */
  status: PresenceStatus;
  /** Who. */
  user: UserRef;
}

/** A change of one membership. */
export interface MemberChange {
  /** Until when the member may not write. */
  muted_until?: Timestamp | null;
  /** For `member.left`: why. */
  reason?: LeaveReason | null;
  /**
   * What whoever removed, banned or muted the member gave as the reason, in the event of that
   * change only.
   */
  reason_text?: string | null;
  /** The role after the change, or the last one. */
  role: Role;
  /** Whose. */
  user: UserRef;
}

/** One page of the members of a room. */
export interface MemberPage {
  /** The members. */
  items: Member[];
  /** Where the next page starts; absent at the end. */
  next?: string | null;
  /** How many of them are there, idle ones and bots too. Of a large room, as of a moment ago. */
  online?: number;
  /** How many members the room has. */
  total?: number;
}

/** What a room's bots can remember. */
export interface MemoryStats {
  /** The bot. */
  bot: UserRef;
  /** How far back it remembers, in seconds; 0: without end. */
  memory_ttl_seconds: number;
  /** Messages of the room that the bot would be shown now. */
  messages: number;
  /** The oldest of them. */
  since?: Timestamp | null;
  /** Their size in tokens, estimated. */
  tokens: number;
}

/** One page of a list. */
export interface MemoryStatsPage {
  /** The items. */
  items: MemoryStats[];
  /** Where the next page starts; absent at the end. */
  next?: string | null;
}

/** A message as it is now. */
export interface Message {
  /** Files. */
  attachments?: Attachment[];
  /** The text; empty when redacted. */
  body: string;
  /** For a bot's message: what it answers. */
  bot?: BotReply | null;
  /** The author's own id for it. */
  client_id?: string | null;
  /** When it was made. */
  created_at: Timestamp;
  /** When it was last edited. */
  edited_at?: Timestamp | null;
  /** How often its text was changed. */
  edits?: number;
  /** Whether its text is what the author does (`/me waves`), not what they say. */
  emote?: boolean;
  /** For a failed reply: why. */
  error?: ReplyError | null;
  /** The id. */
  id: MessageId;
  /** The members that it mentions, as they were when it was written. */
  mentions?: UserRef[];
  /** Whether it mentions everyone in the room. */
  mentions_room?: boolean;
  /** When it is pinned: by whom and since when. */
  pinned?: Pin | null;
  /** Reactions. */
  reactions?: Reaction[];
  /** When it was redacted. */
  redacted_at?: Timestamp | null;
  /** For the root of a thread: what its replies amount to. */
  replies?: Replies | null;
  /** The message it answers. */
  reply_to?: MessageId | null;
  /** The room. */
  room: RoomId;
  /** The author. */
  sender: UserRef;
  /** The position of its `message.created` event. */
  seq: number;
  /** How far it is. */
  status: MessageStatus;
  /** The message whose thread it belongs to. */
  thread?: MessageId | null;
  /** For a finished reply: what it cost. */
  usage?: Usage | null;
}

/** A bot's reply has ended. */
export interface MessageCompleted {
  /** The whole text. */
  body: string;
  /** Why it failed. */
  error?: ReplyError | null;
  /** The members that the text mentions. */
  mentions?: UserRef[];
  /** Which. */
  message: MessageId;
  /** Completed, cancelled, failed or interrupted. */
  status: MessageStatus;
  /** What it cost. */
  usage: Usage;
}

/** More text of a streaming reply. */
export interface MessageDelta {
  /** The number of this piece: 1, 2, 3 … in each turn. */
  chunk: number;
  /** The reply. */
  message: MessageId;
  /** The piece. */
  text: string;
  /** Which attempt at the reply; a higher one replaces the text of the lower. */
  turn: number;
}

/** A message's text changed. */
export interface MessageEdited {
  /** The new text. */
  body: string;
  /** When. */
  edited_at: Timestamp;
  /** The members that the new text mentions. */
  mentions?: UserRef[];
  /** Whether the new text mentions everyone in the room. */
  mentions_room?: boolean;
  /** Which. */
  message: MessageId;
}

/** A message. */
export type MessageId = string;

/** One page of a list. */
export interface MessagePage {
  /** The items. */
  items: Message[];
  /** Where the next page starts; absent at the end. */
  next?: string | null;
}

/** A message's text was removed. */
export interface MessageRedacted {
  /** Which. */
  message: MessageId;
}

/** How far a message is. */
export type MessageStatus =
  /** Written at once by its author. */
  | 'complete'
  /** A bot is still writing it. */
  | 'streaming'
  /** A bot has finished it. */
  | 'completed'
  /** Someone stopped it. */
  | 'cancelled'
  /** The model provider failed. */
  | 'failed'
  /** The worker that wrote it was lost. */
  | 'interrupted';

/** A text that a message has, or had before an edit. */
export interface MessageVersion {
  /** Since when. */
  at: Timestamp;
  /** The text. */
  body: string;
  /** Its number: 1 is the text that the message was written with. */
  version: number;
}

/** One page of a list. */
export interface MessageVersionPage {
  /** The items. */
  items: MessageVersion[];
  /** Where the next page starts; absent at the end. */
  next?: string | null;
}

/** A command that was just made. Its secret is told this one time. */
export interface NewCommandSecret {
  /** When it was made. */
  created_at: Timestamp;
  /** What it does. */
  description: string;
  /** The id. */
  id: CommandId;
  /** Who its answers are by. */
  integration: UserRef;
  /** The name, without the slash. */
  name: string;
  /** The room. */
  room: RoomId;
  /** What calls are signed with: `whsec_` and the key in base64. */
  secret: string;
  /** Who answers it; for owners. */
  url?: string | null;
}

/** An integration whose address was just made. It is told this one time. */
export interface NewIntegrationAddress {
  /** When it was made. */
  created_at: Timestamp;
  /** Who made it. */
  creator: UserRef;
  /** The id, which is that of its user. */
  id: UserId;
  /** When its address was last used, to the minute. */
  last_used_at?: Timestamp | null;
  /** The path of its address: `/v1/hooks/` and the secret. */
  path: string;
  /** The beginning of the secret in its address. */
  prefix: string;
  /** Who its messages are by. */
  user: UserRef;
}

/** A personal access token that was just made. Its secret is told this one time. */
export interface NewPersonalToken {
  /** When it was made. */
  created_at: Timestamp;
  /** When it stops working. */
  expires_at: Timestamp;
  /** The id. */
  id: TokenId;
  /** When it was last used, to the minute. */
  last_used_at?: Timestamp | null;
  /** What it is for, in the owner's words. */
  name: string;
  /** The beginning of the secret, by which its owner knows it. */
  prefix: string;
  /** What it may be used for. */
  scopes: Scope[];
  /** What is sent as `Authorization: Bearer`. */
  secret: string;
}

/** A webhook whose secret was just made. It is told this one time. */
export interface NewWebhookSecret {
  /** Failed attempts at the next event. */
  attempts: number;
  /** When it was made. */
  created_at: Timestamp;
  /** Who made it. */
  creator: UserRef;
  /** Events that were given up and can be delivered again. */
  dead_letters: number;
  /** Since when it is not. */
  disabled_at?: Timestamp | null;
  /** Why it is not. */
  disabled_reason?: string | null;
  /** Whether it is told anything. */
  enabled: boolean;
  /** Types of events; empty: all. */
  events: string[];
  /** Since when nothing could be delivered. */
  failing_since?: Timestamp | null;
  /** The id. */
  id: WebhookId;
  /** When something was last delivered. */
  last_delivered_at?: Timestamp | null;
  /** How the last attempt ended. */
  last_outcome?: string | null;
  /** What deliveries are signed with: `whsec_` and the key in base64. */
  secret: string;
  /** Events up to here were delivered, are nothing for it, or were given up. */
  seq: number;
  /** Where events are posted to. */
  url: string;
}

/** The state of one node. */
export interface NodeStatus {
  /** Open WebSocket connections. */
  connections: number;
  /** Its name. */
  name: string;
  /** Rooms with a connected member. */
  rooms: number;
  /** Since when it runs. */
  started_at: Timestamp;
  /** For how many seconds it has been running. */
  uptime_seconds: number;
}

/** Which messages of a room a member wants to be told of. */
export type NotificationLevel = 'all' | 'mentions' | 'none';

/** Which messages of a room the caller wants to be told of. */
export interface NotificationsRequest {
  /** The level. */
  level: NotificationLevel;
}

/** Changes of a bot. What is absent stays. */
export interface PatchBotRequest {
  /** Messages of the room that it is shown at most. */
  context_messages?: number | null;
  /** The name to show. */
  display_name?: string | null;
  /** Longest reply in tokens. */
  max_tokens?: number | null;
  /** How far back it remembers, in seconds; 0: without end. */
  memory_ttl_seconds?: number | null;
  /** The model. */
  model?: string | null;
  /** The provider. */
  provider?: string | null;
  /** What the bot is told about itself. */
  system_prompt?: string | null;
  /** Sampling temperature, 0–2. */
  temperature?: number | null;
  /** When it answers. */
  trigger?: Trigger | null;
}

/** Changes of one's own profile. */
export interface PatchMeRequest {
  /** A new text about oneself. */
  bio?: string | null;
  /** A new name to show. */
  display_name?: string | null;
  /** The present password: needed for a new user name, and for nothing else. */
  password?: string | null;
  /** A new user name. */
  username?: string | null;
  /** Who may see the bio. */
  visibility?: Visibility | null;
}

/** Changes of a room. */
export interface PatchRoomRequest {
  /** Closes the room for new messages, or opens it. */
  archived?: boolean | null;
  /** A new name. */
  name?: string | null;
  /** Who may do what. Owners change all of it, moderators `slow_mode_seconds`. */
  settings?: PatchRoomSettings | null;
  /** A new topic. */
  topic?: string | null;
}

/** Changes of who may do what in a room; what is absent stays. */
export interface PatchRoomSettings {
  /** The least role whose messages call bots. */
  call_bots?: Role | null;
  /** The least role that may invite; `null`: members in public rooms, moderators in private ones. */
  invite?: Role | null;
  /** The least role that may write messages. */
  post?: Role | null;
  /** Whether clients may send signals of their own. */
  signals?: boolean | null;
  /** Seconds that a member waits between two messages, at most 21,600; 0: none. */
  slow_mode_seconds?: number | null;
  /** The least role that may stop or redo replies of bots. */
  stop_bots?: Role | null;
}

/** Changes of a user by an administrator. */
export interface PatchUserRequest {
  /** Whether they may log in. */
  active?: boolean | null;
  /** The server-wide role. */
  role?: ServerRole | null;
}

/** Changes of a webhook; what is absent stays. */
export interface PatchWebhookRequest {
  /** Whether it is told anything. Switched on again, it goes on where it stopped. */
  enabled?: boolean | null;
  /** Types of events; empty: all. */
  events?: string[] | null;
  /** Where events are posted to. */
  url?: string | null;
}

/** A personal access token, without its secret. */
export interface PersonalToken {
  /** When it was made. */
  created_at: Timestamp;
  /** When it stops working. */
  expires_at: Timestamp;
  /** The id. */
  id: TokenId;
  /** When it was last used, to the minute. */
  last_used_at?: Timestamp | null;
  /** What it is for, in the owner's words. */
  name: string;
  /** The beginning of the secret, by which its owner knows it. */
  prefix: string;
  /** What it may be used for. */
  scopes: Scope[];
}

/** One page of a list. */
export interface PersonalTokenPage {
  /** The items. */
  items: PersonalToken[];
  /** Where the next page starts; absent at the end. */
  next?: string | null;
}

/** That a message is kept at hand for everyone in the room. */
export interface Pin {
  /** When. */
  at: Timestamp;
  /** Who pinned it. */
  by: UserRef;
}

/** A message was pinned, or is pinned no longer. */
export interface PinChange {
  /** The message. */
  message: MessageId;
  /** Who did it. */
  user: UserRef;
}

/** A position in a room's log. */
export interface Position {
  /** The identity of the log. */
  epoch: string;
  /** The last event that the client has. */
  seq: number;
}

/** Someone came, went or became idle. */
export interface Presence {
  /** Whether they are there. */
  status: PresenceStatus;
  /** Who. */
  user: UserRef;
}

/** Whether someone is there. */
export interface PresenceResponse {
  /** How many connections they have. */
  connections: number;
  /** When they were last seen. */
  last_seen?: Timestamp | null;
  /** Online, idle or offline. */
  status: PresenceStatus;
}

/** Whether someone is there. */
export type PresenceStatus = 'online' | 'idle' | 'offline';

/** An RFC 9457 problem document: the body of every HTTP error. */
export interface Problem {
  /** The stable code. */
  code: Code;
  /** What went wrong in this case and what helps. */
  detail: string;
  /** The fields at fault. */
  errors?: FieldError[];
  /** The id of the request, as in the server's log. */
  request_id?: string;
  /** When a retry makes sense: milliseconds from now, as in the `Retry-After` header. */
  retry_after_ms?: number | null;
  /** The HTTP status. */
  status: number;
  /** A short title. */
  title: string;
  /** A stable URI reference such as `/problems/rate-limited`. */
  type: string;
}

/** What a code means. */
export interface ProblemType {
  /** The code. */
  code: Code;
  /** What it means and what helps. */
  description: string;
  /** Whether the same request may succeed later without a change. */
  retryable: boolean;
  /** The HTTP status that goes with it. */
  status: number;
  /** The title. */
  title: string;
  /** The URI reference, as in `type`. */
  type: string;
}

/** Whether a provider can be reached. */
export interface ProviderHealth {
  /** What is wrong, in a sentence. */
  detail?: string | null;
  /** How long it took, in milliseconds. */
  latency_ms?: number | null;
  /** The provider. */
  name: string;
  /** Whether it answered. */
  reachable: boolean;
}

/** One page of a list. */
export interface ProviderHealthPage {
  /** The items. */
  items: ProviderHealth[];
  /** Where the next page starts; absent at the end. */
  next?: string | null;
}

/** A configured model provider. */
export interface ProviderSummary {
  /** Whether bots without a provider use it. */
  default: boolean;
  /** The model used when a bot names none. */
  default_model: string;
  /** `ollama`, `openai_compatible` or `demo`. */
  kind: string;
  /** The models that it offers; empty when it could not be asked. */
  models: string[];
  /** The name to use in a bot. */
  name: string;
}

/** One page of a list. */
export interface ProviderSummaryPage {
  /** The items. */
  items: ProviderSummary[];
  /** Where the next page starts; absent at the end. */
  next?: string | null;
}

/** A message and the bot's reply to it. */
export interface PublishAndReply {
  /** The message. */
  message: Message;
  /** The finished reply; absent when the message called no bot. */
  reply?: Message | null;
}

/** The message, or with `?wait=reply` the message and the reply. */
export type PublishAnswer = Message | PublishAndReply;

/** A new message. */
export interface PublishRequest {
  /** The author's finished uploads that belong to it. */
  attachments?: FileId[];
  /** The text; may be empty where there are attachments. */
  body: string;
  /** The author's own id: the same one is one message; also as `Idempotency-Key`. */
  client_id?: string | null;
  /** The message it answers. */
  reply_to?: MessageId | null;
  /** The message whose thread it belongs to. */
  thread?: MessageId | null;
}

/** Joins, invites, or changes a member. An empty object for oneself joins. */
export interface PutMemberRequest {
  /** Removes the member and keeps them out for a time. */
  ban?: Restriction | null;
  /** An invite code, to join a private room. */
  invite?: string | null;
  /** Takes the right to write away for a time. */
  mute?: Restriction | null;
  /** The role to give. */
  role?: Role | null;
}

/** A new password. */
export interface PutPasswordRequest {
  /** The present password. */
  current_password: string;
  /** The new one. */
  new_password: string;
}

/** How often something may be done. */
export interface RateRule {
  /** How many at once after a pause. */
  burst: number;
  /** How many in `seconds`. */
  count: number;
  /** The time in which as many are given back. */
  seconds: number;
}

/** One emoji and who reacted with it. */
export interface Reaction {
  /** How many reacted. */
  count: number;
  /** The emoji. */
  emoji: string;
  /** The user names of those who did, oldest first, at most 20. */
  users: string[];
}

/** A reaction came or went. */
export interface ReactionChange {
  /** The emoji. */
  emoji: string;
  /** The message. */
  message: MessageId;
  /** Who. */
  user: UserRef;
}

/** A new place of the read marker. */
export interface ReadRequest {
  /** Everything up to here is read, nothing after it; at most the newest event. */
  seq: number;
}

/** Where the read marker stands, and what is after it. */
export interface ReadState {
  /** Those of them that mention the caller, or everyone; counted up to 1,000 too. */
  mentions: number;
  /** The read marker. */
  read_seq: number;
  /** Messages by others after it, without redacted ones; 1,000 stands for that many or more. */
  unread: number;
}

/** Whether the node takes work. */
export interface Readiness {
  /** Each dependency by name. */
  dependencies: Record<string, Dependency>;
  /** Whether it does. */
  ready: boolean;
  /** Why not, when it does not. */
  reason?: string | null;
}

/** Someone has read up to a position. */
export interface Receipt {
  /** The position. */
  seq: number;
  /** Who. */
  user: UserRef;
}

/** What came of delivering an event again. */
export interface Redelivered {
  /** Whether it was delivered; then it is a dead letter no longer. */
  delivered: boolean;
  /** How the attempt ended. */
  outcome: string;
}

/** A new pair of tokens for a refresh token. */
export interface RefreshRequest {
  /** The refresh token; it is spent by this call. */
  refresh_token: string;
}

/** A command was refused. */
export interface Refused {
  /** The stable code. */
  code: Code;
  /** What helps. */
  detail: string;
  /** The command's id. */
  re?: string | null;
  /** When a retry makes sense. */
  retry_after_ms?: number | null;
}

/** A new account. */
export interface RegisterRequest {
  /** The name to show; the user name when absent. */
  display_name?: string | null;
  /** Optional and unique. */
  email?: string | null;
  /** An invite code, where registration asks for one. */
  invite?: string | null;
  /** 8–128 characters; refused when common or easy to guess. */
  password: string;
  /** 3–32 characters: letters, digits, `_`, `-`, `.`. */
  username: string;
}

/** A command of a room that another program answers. */
export interface RegisteredCommand {
  /** When it was made. */
  created_at: Timestamp;
  /** What it does. */
  description: string;
  /** The id. */
  id: CommandId;
  /** Who its answers are by. */
  integration: UserRef;
  /** The name, without the slash. */
  name: string;
  /** The room. */
  room: RoomId;
  /** Who answers it; for owners. */
  url?: string | null;
}

/** One page of a list. */
export interface RegisteredCommandPage {
  /** The items. */
  items: RegisteredCommand[];
  /** Where the next page starts; absent at the end. */
  next?: string | null;
}

/** Who may register. */
export type Registration = 'open' | 'invite' | 'closed';

/** The messages of a thread, as its root shows them. Redacted ones do not count. */
export interface Replies {
  /** How many there are. */
  count: number;
  /** When the newest was made. */
  last_at: Timestamp;
  /** The position of the newest. */
  last_seq: number;
}

/** Why a reply failed, for the people in the room. */
export interface ReplyError {
  /** The stable code. */
  code: Code;
  /** A sentence that a person understands. */
  detail: string;
}

/** A mute or a ban. */
export interface Restriction {
  /**
   * Why, in one line of at most 500 characters; the room and whom it concerns are told. Empty:
   * none.
   */
  reason?: string | null;
  /** When it ends; absent: when a moderator lifts it. In the past: it is lifted. */
  until?: Timestamp | null;
}

/** The client's position cannot be continued. */
export interface Resync {
  /** The newest event: history up to here, and live events after it. */
  from: number;
  /** Why: `epoch_changed`, `too_far_behind`, `history_reset` or `ahead_of_log`. */
  reason: string;
  /** The room. */
  room: RoomId;
}

/** A role in one room. */
export type Role = 'member' | 'moderator' | 'owner';

/** A room as one caller sees it. */
export interface Room {
  /** Whether it is closed for new messages. */
  archived: boolean;
  /** When it was made. */
  created_at: Timestamp;
  /** The identity of the room's log. */
  epoch: string;
  /** The id. */
  id: RoomId;
  /** Who may find and enter it. */
  kind: RoomKind;
  /** How many members there are. */
  members: number;
  /** Those of them that mention the caller, or everyone. */
  mentions?: number;
  /** The name to show. */
  name: string;
  /** Which messages the caller wants to be told of. */
  notifications?: NotificationLevel;
  /** In a direct room: the other participants. */
  participants?: UserRef[];
  /** The caller's read marker. */
  read_seq: number;
  /** The caller's role; absent for those who are not members. */
  role?: Role | null;
  /** The position of the newest event. */
  seq: number;
  /** Who may do what in it. */
  settings?: RoomSettings;
  /** The unique short name. */
  slug: string;
  /** What it is about. */
  topic: string;
  /** Messages by others after the caller's read marker. */
  unread: number;
}

/** A room. */
export type RoomId = string;

/** Who may find and enter a room. */
export type RoomKind = 'public' | 'private' | 'direct';

/** One page of a list. */
export interface RoomPage {
  /** The items. */
  items: Room[];
  /** Where the next page starts; absent at the end. */
  next?: string | null;
}

/** A room as a client names it: by id or by slug. */
export type RoomRef = string;

/** Who may do what in a room, besides what the roles say. */
export interface RoomSettings {
  /** The least role whose messages call bots. */
  call_bots?: Role;
  /** The least role that may invite; absent: members in public rooms, moderators in private ones. */
  invite?: Role | null;
  /** The least role that may write messages. */
  post?: Role;
  /** Whether clients may send signals of their own (`op: signal`). */
  signals?: boolean;
  /** Seconds that a member waits between two messages; 0: none. */
  slow_mode_seconds?: number;
  /** The least role that may stop or redo replies of bots. */
  stop_bots?: Role;
}

/** What a room is called and about. */
export interface RoomState {
  /** Whether it is closed for new messages. */
  archived: boolean;
  /** Who may find and enter it. */
  kind: RoomKind;
  /** The name to show. */
  name: string;
  /** Who may do what in it. */
  settings?: RoomSettings;
  /** The unique short name. */
  slug: string;
  /** What it is about. */
  topic: string;
}

/** A command to carry out in a room. */
export interface RunCommandRequest {
  /** The caller's own id for the message that it may write: the same one is one message. */
  client_id?: string | null;
  /** The command with its slash, such as `/topic Tea`. */
  text: string;
}

/** What a personal access token may be used for. Each stands for itself; none includes another. */
export type Scope =
  /** Rooms, members, messages, profiles and events: everything that only looks. */
  | 'read'
  /**
   * Writing: messages and changes of them, reactions, typing, signals, read markers, commands,
   * stopping replies.
   */
  | 'write'
  /**
   * Rooms and memberships: making, changing and deleting rooms, joining, leaving, bringing people
   * in, invite links, integrations and webhooks.
   */
  | 'rooms'
  /** Order: removing, banning and muting members, giving roles, resetting the history. */
  | 'moderate'
  /** One's own profile. */
  | 'profile'
  /** Bots: making, changing and deleting them. */
  | 'bots'
  /** What administrators do, for tokens of administrators. */
  | 'admin';

/** A message that was found. */
export interface SearchResult {
  /** Where in `message.body` it was found, in order. */
  highlights: Highlight[];
  /** The message as it is now. */
  message: Message;
  /** The room that it is in. */
  room: FoundRoom;
  /** A part of the text around what was found. */
  snippet: Snippet;
}

/** One page of a list. */
export interface SearchResultPage {
  /** The items. */
  items: SearchResult[];
  /** Where the next page starts; absent at the end. */
  next?: string | null;
}

/** A server-wide role. */
export type ServerRole = 'admin' | 'user';

/** A login. */
export interface Session {
  /** The client's name, as far as it was told. */
  client: string;
  /** When it began. */
  created_at: Timestamp;
  /** When it ends unless it is refreshed. */
  expires_at: Timestamp;
  /** The id. */
  id: SessionId;
}

/** A login: what a refresh token family, its access tokens and its connections belong to. */
export type SessionId = string;

/** The caller's login. */
export interface SessionResponse {
  /** The login. */
  session: Session;
  /** Who is logged in. */
  user: User;
}

/** The first administrator, by the one-time link printed at first start. */
export interface SetupRequest {
  /** The administrator's password. */
  password: string;
  /** The token of the link. */
  token: string;
  /** The administrator's user name. */
  username: string;
}

/** A signal in a room. */
export type Signal = {
  /** The room. */
  room: RoomId;
} & (
  /** Someone writes, or stopped writing. */
  | {
    data: Typing;
    type: 'typing';
  }
  /** Someone came, went or became idle. */
  | {
    data: Presence;
    type: 'presence';
  }
  /** Someone has read up to a position. */
  | {
    data: Receipt;
    type: 'receipt';
  }
  /** More text of a streaming reply. */
  | {
    data: MessageDelta;
    type: 'message.delta';
  }
  /** What a bot is doing. */
  | {
    data: BotStatus;
    type: 'bot.status';
  }
  /** What a member's client sent. */
  | {
    data: App;
    type: 'app';
  }
);

/** A family of signals, which a client may want or not. */
export type SignalFamily = 'typing' | 'presence' | 'receipts' | 'deltas' | 'bots' | 'app';

/** Where a subscription continues. */
export type Since = Position | number;

/** A part of a text around what was found. */
export interface Snippet {
  /** Where in this part it was found. */
  highlights: Highlight[];
  /** The part, with `…` where something was left out. */
  text: string;
}

/** The state of the server, for administrators. */
export interface Status {
  /** Each dependency by name. */
  dependencies: Record<string, Dependency>;
  /** The nodes. */
  nodes: NodeStatus[];
  /** The version. */
  version: string;
}

/** A reply that is being written. */
export interface StreamingReply {
  /** The number of the last piece in `text`. */
  chunk: number;
  /** The reply. */
  message: MessageId;
  /** The text so far. */
  text: string;
  /** Which attempt. */
  turn: number;
}

/** A room is being followed. */
export interface Subscribed {
  /** The identity of the log. */
  epoch: string;
  /** The command's id. */
  re?: string | null;
  /** Whether the client's position is continued. */
  resumed: boolean;
  /** The room's id. */
  room: RoomId;
  /** The newest event. Those between `since` and this one follow this frame. */
  seq: number;
  /** The room's short name. */
  slug: string;
  /** Replies that are being written, with their text so far. */
  streaming: StreamingReply[];
}

/** One prompt to try a provider with. */
export interface TestPromptRequest {
  /** The model; absent: the provider's default. */
  model?: string | null;
  /** The prompt. */
  prompt: string;
  /** The provider; absent: the default. */
  provider?: string | null;
}

/** What a provider answered. */
export interface TestPromptResponse {
  /** How long it took, in milliseconds. */
  duration_ms: number;
  /** The model. */
  model: string;
  /** The provider. */
  provider: string;
  /** The answer. */
  reply: string;
  /** What it cost. */
  usage: Usage;
}

/** RFC 3339, UTC, milliseconds. */
export type Timestamp = string;

/** A personal access token. Connections that it opened are those of a login with the same id. */
export type TokenId = string;

/** A login. As JSON, or as an OAuth2 password form (`grant_type` and `scope` are accepted). */
export interface TokenRequest {
  /** Ignored. */
  client_id?: string | null;
  /** Ignored. */
  client_secret?: string | null;
  /** `password`, where given. */
  grant_type?: string | null;
  /** The password. */
  password: string;
  /** Ignored. */
  scope?: string | null;
  /** The user name. */
  username: string;
}

/** A pair of tokens. */
export interface TokenResponse {
  /** Sent as `Authorization: Bearer …`. */
  access_token: string;
  /** Seconds until the access token expires. */
  expires_in: number;
  /** Opaque, single use. */
  refresh_token: string;
  /** Always `bearer`. */
  token_type: string;
  /** Whose. */
  user: User;
}

/** Gives one's ownership of a room to another member. */
export interface TransferRoomRequest {
  /** The user name of the new owner, who must be a member and a person. */
  username: string;
}

/** When a bot answers. */
export type Trigger = 'mention' | 'always' | 'direct' | 'never';

/** Someone writes, or stopped writing. */
export interface Typing {
  /** Whether they write. */
  on: boolean;
  /** Who. */
  user: UserRef;
}

/** An upload, as far as it is. */
export interface Upload {
  /** What it has become; absent until all bytes have arrived and were looked at. */
  attachment?: Attachment | null;
  /** Its size in bytes, as announced. */
  bytes: number;
  /** When it is forgotten, if nothing more comes and no message has it. */
  expires_at: Timestamp;
  /** Its id, and later that of the attachment. */
  id: FileId;
  /** The file's name. */
  name: string;
  /** How many bytes have arrived: where the next part begins. */
  offset: number;
}

/** Tokens that a reply has cost. */
export interface Usage {
  /** Tokens of the reply. */
  completion_tokens: number;
  /** Whether the numbers are Parlor's estimate and not the provider's count. */
  estimated: boolean;
  /** Tokens of the prompt. */
  prompt_tokens: number;
}

/** A profile. */
export interface User {
  /** The path of the picture, which changes with it; absent when there is none. */
  avatar?: string | null;
  /** What the user says about themselves; empty when hidden. */
  bio?: string;
  /** When the account was made. */
  created_at: Timestamp;
  /** The name to show. */
  display_name: string;
  /** The e-mail address; only in one's own profile. */
  email?: string | null;
  /** The id. */
  id: UserId;
  /** Person, bot or integration. */
  kind: UserKind;
  /** The server-wide role. */
  role: ServerRole;
  /** The unique name. */
  username: string;
  /** Who may see the bio. */
  visibility: Visibility;
}

/** A person, a bot or an integration. */
export type UserId = string;

/** What kind of participant it is. */
export type UserKind = 'user' | 'bot' | 'integration';

/** The short form of a participant, as it stands in messages, events and signals. */
export interface UserRef {
  /** The name to show. */
  display_name: string;
  /** The id. */
  id: UserId;
  /** Person, bot or integration. */
  kind: UserKind;
  /** The unique name, as in a mention. */
  username: string;
}

/** Who may see a profile's bio. */
export type Visibility = 'public' | 'private';

/** An address that is told what happens in a room. */
export interface Webhook {
  /** Failed attempts at the next event. */
  attempts: number;
  /** When it was made. */
  created_at: Timestamp;
  /** Who made it. */
  creator: UserRef;
  /** Events that were given up and can be delivered again. */
  dead_letters: number;
  /** Since when it is not. */
  disabled_at?: Timestamp | null;
  /** Why it is not. */
  disabled_reason?: string | null;
  /** Whether it is told anything. */
  enabled: boolean;
  /** Types of events; empty: all. */
  events: string[];
  /** Since when nothing could be delivered. */
  failing_since?: Timestamp | null;
  /** The id. */
  id: WebhookId;
  /** When something was last delivered. */
  last_delivered_at?: Timestamp | null;
  /** How the last attempt ended. */
  last_outcome?: string | null;
  /** Events up to here were delivered, are nothing for it, or were given up. */
  seq: number;
  /** Where events are posted to. */
  url: string;
}

/** An outgoing webhook. */
export type WebhookId = string;

/** One page of a list. */
export interface WebhookPage {
  /** The items. */
  items: Webhook[];
  /** Where the next page starts; absent at the end. */
  next?: string | null;
}

/** The connection is authenticated. */
export interface Welcome {
  /** How often the client should send `ping` when it has nothing else to send. */
  heartbeat_ms: number;
  /** The limits of this connection. */
  limits: Limits;
  /** The node's name. */
  node: string;
  /** The session (login) of this connection. */
  session: SessionId;
  /** Who it is. */
  user: UserRef;
}

/** A single-use ticket for the WebSocket upgrade. */
export interface WsTicket {
  /** Seconds until it expires. */
  expires_in: number;
  /** For `?ticket=`. */
  ticket: string;
}
