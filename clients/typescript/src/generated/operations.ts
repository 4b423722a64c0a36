// Generated from the published specs by `npm run generate`. Do not edit.

import type {
  AdminSessionPage,
  AdminUser,
  AdminUserPage,
  Alive,
  BanPage,
  Bot,
  BotPage,
  Cancelled,
  CommandAnswer,
  CreateBotRequest,
  CreateCommandRequest,
  CreateIntegrationRequest,
  CreateInviteRequest,
  CreateRoomRequest,
  CreateTokenRequest,
  CreateUploadRequest,
  CreateWebhookRequest,
  DeactivateRequest,
  DeadLetterPage,
  DeleteMemberRequest,
  DeletedRooms,
  EditMessageRequest,
  EraseRequest,
  EraseUserRequest,
  FileAddress,
  HookPosted,
  HookRequest,
  ImportReport,
  Info,
  IntegrationPage,
  Invite,
  InvitePage,
  InvitePreview,
  MemberPage,
  MemoryStatsPage,
  Message,
  MessagePage,
  MessageVersionPage,
  NewCommandSecret,
  NewIntegrationAddress,
  NewPersonalToken,
  NewWebhookSecret,
  NotificationsRequest,
  PatchBotRequest,
  PatchMeRequest,
  PatchRoomRequest,
  PatchUserRequest,
  PatchWebhookRequest,
  PersonalTokenPage,
  PresenceResponse,
  ProblemType,
  ProviderHealthPage,
  ProviderSummaryPage,
  PublishAnswer,
  PublishRequest,
  PutMemberRequest,
  PutPasswordRequest,
  ReadRequest,
  ReadState,
  Readiness,
  Redelivered,
  RefreshRequest,
  RegisterRequest,
  RegisteredCommandPage,
  Room,
  RoomPage,
  RunCommandRequest,
  SearchResultPage,
  SessionResponse,
  SetupRequest,
  Status,
  TestPromptRequest,
  TestPromptResponse,
  TokenRequest,
  TokenResponse,
  TransferRoomRequest,
  Upload,
  User,
  Webhook,
  WebhookPage,
  WsTicket,
} from './schemas.js';

/** A body that is not JSON. */
export type RawBody = Blob | Uint8Array<ArrayBuffer> | string;

/** Every call of the HTTP API: what goes in, and what comes out. */
export interface Operations {
  /** Return the description of the WebSocket */
  'GET /asyncapi.json': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: unknown;
  };
  /** Tell whether the process is alive */
  'GET /healthz': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: Alive;
  };
  /** Tell what this server is, and its limits */
  'GET /info': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: Info;
  };
  /** Return metrics in the text format of Prometheus */
  'GET /metrics': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: Response;
  };
  /** Return this document */
  'GET /openapi.json': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: unknown;
  };
  /** Explain an error code */
  'GET /problems/{code}': {
    path: { code: string };
    query: Record<never, never>;
    body: undefined;
    answer: ProblemType;
  };
  /** Tell whether the node takes work */
  'GET /readyz': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: Readiness;
  };
  /** Return the JSON Schema of all frames */
  'GET /schema.json': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: Response;
  };
  /** List logins that have not ended, newest first */
  'GET /v1/admin/sessions': {
    path: Record<never, never>;
    query: { limit?: number; username?: string };
    body: undefined;
    answer: AdminSessionPage;
  };
  /** Return the state of the server */
  'GET /v1/admin/status': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: Status;
  };
  /** List all users */
  'GET /v1/admin/users': {
    path: Record<never, never>;
    query: { cursor?: string; limit?: number };
    body: undefined;
    answer: AdminUserPage;
  };
  /** Deactivate or reactivate a user, or give them a role */
  'PATCH /v1/admin/users/{username}': {
    path: { username: string };
    query: Record<never, never>;
    body: PatchUserRequest;
    answer: AdminUser;
  };
  /** Erase the account of a person */
  'DELETE /v1/admin/users/{username}': {
    path: { username: string };
    query: Record<never, never>;
    body: EraseUserRequest;
    answer: undefined;
  };
  /** End this login everywhere */
  'POST /v1/auth/logout': {
    path: Record<never, never>;
    query: { all?: boolean };
    body: undefined;
    answer: undefined;
  };
  /** Exchange a refresh token for a new pair */
  'POST /v1/auth/refresh': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: RefreshRequest;
    answer: TokenResponse;
  };
  /** Make an account and log in to it */
  'POST /v1/auth/register': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: RegisterRequest;
    answer: TokenResponse;
  };
  /** Return who is logged in, and how */
  'GET /v1/auth/session': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: SessionResponse;
  };
  /** Make the first administrator */
  'POST /v1/auth/setup': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: SetupRequest;
    answer: TokenResponse;
  };
  /** Log in with user name or e-mail address, and password */
  'POST /v1/auth/token': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: TokenRequest;
    answer: TokenResponse;
  };
  /** Make a ticket that opens one WebSocket */
  'POST /v1/auth/ws-ticket': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: WsTicket;
  };
  /** List the bots */
  'GET /v1/bots': {
    path: Record<never, never>;
    query: { cursor?: string; limit?: number };
    body: undefined;
    answer: BotPage;
  };
  /** Make a bot */
  'POST /v1/bots': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: CreateBotRequest;
    answer: Bot;
  };
  /** Return a bot */
  'GET /v1/bots/{bot}': {
    path: { bot: string };
    query: Record<never, never>;
    body: undefined;
    answer: Bot;
  };
  /** Change a bot */
  'PATCH /v1/bots/{bot}': {
    path: { bot: string };
    query: Record<never, never>;
    body: PatchBotRequest;
    answer: Bot;
  };
  /** Delete a bot */
  'DELETE /v1/bots/{bot}': {
    path: { bot: string };
    query: Record<never, never>;
    body: undefined;
    answer: undefined;
  };
  /** List the commands that a room has registered */
  'GET /v1/commands': {
    path: Record<never, never>;
    query: { room: string };
    body: undefined;
    answer: RegisteredCommandPage;
  };
  /** Register a command that another program answers */
  'POST /v1/commands': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: CreateCommandRequest;
    answer: NewCommandSecret;
  };
  /** Remove a registered command */
  'DELETE /v1/commands/{command}': {
    path: { command: string };
    query: Record<never, never>;
    body: undefined;
    answer: undefined;
  };
  /** Download an attachment */
  'GET /v1/files/{file}/{name}': {
    path: { file: string; name: string };
    query: { expires: number; signature: string; user: string };
    body: undefined;
    answer: Response;
  };
  /** Post into a room as an integration */
  'POST /v1/hooks/{secret}': {
    path: { secret: string };
    query: Record<never, never>;
    body: HookRequest;
    answer: HookPosted;
  };
  /** Tell what an invite link leads to */
  'GET /v1/invites/{code}': {
    path: { code: string };
    query: Record<never, never>;
    body: undefined;
    answer: InvitePreview;
  };
  /** Tell whether the providers can be reached */
  'GET /v1/llm/health': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: ProviderHealthPage;
  };
  /** List the configured providers and their models */
  'GET /v1/llm/providers': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: ProviderSummaryPage;
  };
  /** Send one prompt through a provider */
  'POST /v1/llm/test': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: TestPromptRequest;
    answer: TestPromptResponse;
  };
  /** List rooms: public ones, and those that the caller is a member of */
  'GET /v1/rooms': {
    path: Record<never, never>;
    query: { archived?: boolean; cursor?: string; limit?: number; mine?: boolean; q?: string };
    body: undefined;
    answer: RoomPage;
  };
  /** Make a room */
  'POST /v1/rooms': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: CreateRoomRequest;
    answer: Room;
  };
  /** Delete all rooms that only the caller owns */
  'DELETE /v1/rooms': {
    path: Record<never, never>;
    query: { kind?: 'public' | 'private' | 'direct'; mine?: boolean };
    body: undefined;
    answer: DeletedRooms;
  };
  /** Make a room of a file */
  'POST /v1/rooms/import': {
    path: Record<never, never>;
    query: { dry_run?: boolean; map?: string };
    body: RawBody;
    answer: ImportReport;
  };
  /** Return a room */
  'GET /v1/rooms/{room}': {
    path: { room: string };
    query: Record<never, never>;
    body: undefined;
    answer: Room;
  };
  /** Rename, retopic, archive or reopen a room, or change its settings */
  'PATCH /v1/rooms/{room}': {
    path: { room: string };
    query: Record<never, never>;
    body: PatchRoomRequest;
    answer: Room;
  };
  /** Delete a room with all that is in it */
  'DELETE /v1/rooms/{room}': {
    path: { room: string };
    query: Record<never, never>;
    body: undefined;
    answer: undefined;
  };
  /** Return the address of an attachment */
  'GET /v1/rooms/{room}/attachments/{file}': {
    path: { room: string; file: string };
    query: Record<never, never>;
    body: undefined;
    answer: FileAddress;
  };
  /** List who may not enter a room */
  'GET /v1/rooms/{room}/bans': {
    path: { room: string };
    query: { cursor?: string; limit?: number };
    body: undefined;
    answer: BanPage;
  };
  /** Carry out a slash command */
  'POST /v1/rooms/{room}/commands': {
    path: { room: string };
    query: Record<never, never>;
    body: RunCommandRequest;
    answer: CommandAnswer;
  };
  /** Follow a room as server-sent events */
  'GET /v1/rooms/{room}/events': {
    path: { room: string };
    query: { intents?: string; since?: string };
    body: undefined;
    answer: Response;
  };
  /** Download a room's history */
  'GET /v1/rooms/{room}/export': {
    path: { room: string };
    query: { format?: 'jsonl' | 'json' | 'markdown' };
    body: undefined;
    answer: unknown;
  };
  /** List the programs that may post into a room */
  'GET /v1/rooms/{room}/integrations': {
    path: { room: string };
    query: Record<never, never>;
    body: undefined;
    answer: IntegrationPage;
  };
  /** Let another program post into a room */
  'POST /v1/rooms/{room}/integrations': {
    path: { room: string };
    query: Record<never, never>;
    body: CreateIntegrationRequest;
    answer: NewIntegrationAddress;
  };
  /** End an integration */
  'DELETE /v1/rooms/{room}/integrations/{integration}': {
    path: { room: string; integration: string };
    query: Record<never, never>;
    body: undefined;
    answer: undefined;
  };
  /** Give an integration a new address */
  'POST /v1/rooms/{room}/integrations/{integration}/rotate': {
    path: { room: string; integration: string };
    query: Record<never, never>;
    body: undefined;
    answer: NewIntegrationAddress;
  };
  /** List the invite links that work */
  'GET /v1/rooms/{room}/invites': {
    path: { room: string };
    query: { cursor?: string; limit?: number };
    body: undefined;
    answer: InvitePage;
  };
  /** Make an invite link */
  'POST /v1/rooms/{room}/invites': {
    path: { room: string };
    query: Record<never, never>;
    body: CreateInviteRequest | undefined;
    answer: Invite;
  };
  /** Revoke an invite link */
  'DELETE /v1/rooms/{room}/invites/{code}': {
    path: { room: string; code: string };
    query: Record<never, never>;
    body: undefined;
    answer: undefined;
  };
  /** List the members of a room */
  'GET /v1/rooms/{room}/members': {
    path: { room: string };
    query: { cursor?: string; limit?: number; q?: string; role?: 'member' | 'moderator' | 'owner'; status?: 'online' };
    body: undefined;
    answer: MemberPage;
  };
  /** Join, invite, or change a member */
  'PUT /v1/rooms/{room}/members/{username}': {
    path: { room: string; username: string };
    query: Record<never, never>;
    body: PutMemberRequest | undefined;
    answer: undefined;
  };
  /** Leave a room, or remove a member from it */
  'DELETE /v1/rooms/{room}/members/{username}': {
    path: { room: string; username: string };
    query: Record<never, never>;
    body: DeleteMemberRequest | undefined;
    answer: undefined;
  };
  /** Tell what the bots of a room can remember */
  'GET /v1/rooms/{room}/memory': {
    path: { room: string };
    query: Record<never, never>;
    body: undefined;
    answer: MemoryStatsPage;
  };
  /** Read a room's history */
  'GET /v1/rooms/{room}/messages': {
    path: { room: string };
    query: { after?: number; around?: number; at?: string; before?: number; cursor?: string; limit?: number; offset?: number; thread?: string };
    body: undefined;
    answer: MessagePage;
  };
  /** Write a message */
  'POST /v1/rooms/{room}/messages': {
    path: { room: string };
    query: { wait?: 'reply' };
    body: PublishRequest;
    answer: PublishAnswer;
  };
  /** Remove everything that was written in a room */
  'DELETE /v1/rooms/{room}/messages': {
    path: { room: string };
    query: Record<never, never>;
    body: undefined;
    answer: undefined;
  };
  /** Return a message */
  'GET /v1/rooms/{room}/messages/{message}': {
    path: { room: string; message: string };
    query: Record<never, never>;
    body: undefined;
    answer: Message;
  };
  /** Change the text of one's own message */
  'PATCH /v1/rooms/{room}/messages/{message}': {
    path: { room: string; message: string };
    query: Record<never, never>;
    body: EditMessageRequest;
    answer: Message;
  };
  /** Remove the text of a message */
  'DELETE /v1/rooms/{room}/messages/{message}': {
    path: { room: string; message: string };
    query: Record<never, never>;
    body: undefined;
    answer: undefined;
  };
  /** Stop a bot's reply */
  'POST /v1/rooms/{room}/messages/{message}/cancel': {
    path: { room: string; message: string };
    query: Record<never, never>;
    body: undefined;
    answer: Cancelled;
  };
  /** Pin a message */
  'PUT /v1/rooms/{room}/messages/{message}/pin': {
    path: { room: string; message: string };
    query: Record<never, never>;
    body: undefined;
    answer: undefined;
  };
  /** Unpin a message */
  'DELETE /v1/rooms/{room}/messages/{message}/pin': {
    path: { room: string; message: string };
    query: Record<never, never>;
    body: undefined;
    answer: undefined;
  };
  /** React to a message */
  'PUT /v1/rooms/{room}/messages/{message}/reactions/{emoji}': {
    path: { room: string; message: string; emoji: string };
    query: Record<never, never>;
    body: undefined;
    answer: undefined;
  };
  /** Take a reaction back */
  'DELETE /v1/rooms/{room}/messages/{message}/reactions/{emoji}': {
    path: { room: string; message: string; emoji: string };
    query: Record<never, never>;
    body: undefined;
    answer: undefined;
  };
  /** List the texts that a message has had */
  'GET /v1/rooms/{room}/messages/{message}/versions': {
    path: { room: string; message: string };
    query: Record<never, never>;
    body: undefined;
    answer: MessageVersionPage;
  };
  /** Choose which messages of a room to be told of */
  'PUT /v1/rooms/{room}/notifications': {
    path: { room: string };
    query: Record<never, never>;
    body: NotificationsRequest;
    answer: undefined;
  };
  /** List the pinned messages of a room */
  'GET /v1/rooms/{room}/pins': {
    path: { room: string };
    query: Record<never, never>;
    body: undefined;
    answer: MessagePage;
  };
  /** Set the read marker */
  'PUT /v1/rooms/{room}/read': {
    path: { room: string };
    query: Record<never, never>;
    body: ReadRequest;
    answer: ReadState;
  };
  /** Give one's ownership of a room to another member */
  'POST /v1/rooms/{room}/transfer': {
    path: { room: string };
    query: Record<never, never>;
    body: TransferRoomRequest;
    answer: Room;
  };
  /** List the addresses that are told what happens in a room */
  'GET /v1/rooms/{room}/webhooks': {
    path: { room: string };
    query: Record<never, never>;
    body: undefined;
    answer: WebhookPage;
  };
  /** Have an address told what happens in a room */
  'POST /v1/rooms/{room}/webhooks': {
    path: { room: string };
    query: Record<never, never>;
    body: CreateWebhookRequest;
    answer: NewWebhookSecret;
  };
  /** Return a webhook, and how it goes */
  'GET /v1/rooms/{room}/webhooks/{webhook}': {
    path: { room: string; webhook: string };
    query: Record<never, never>;
    body: undefined;
    answer: Webhook;
  };
  /** Change a webhook, or switch it on or off */
  'PATCH /v1/rooms/{room}/webhooks/{webhook}': {
    path: { room: string; webhook: string };
    query: Record<never, never>;
    body: PatchWebhookRequest;
    answer: Webhook;
  };
  /** End a webhook */
  'DELETE /v1/rooms/{room}/webhooks/{webhook}': {
    path: { room: string; webhook: string };
    query: Record<never, never>;
    body: undefined;
    answer: undefined;
  };
  /** List the events that were given up */
  'GET /v1/rooms/{room}/webhooks/{webhook}/dead-letters': {
    path: { room: string; webhook: string };
    query: Record<never, never>;
    body: undefined;
    answer: DeadLetterPage;
  };
  /** Deliver an event once more that was given up */
  'POST /v1/rooms/{room}/webhooks/{webhook}/dead-letters/{seq}/redeliver': {
    path: { room: string; webhook: string; seq: string };
    query: Record<never, never>;
    body: undefined;
    answer: Redelivered;
  };
  /** Give a webhook a new secret */
  'POST /v1/rooms/{room}/webhooks/{webhook}/rotate': {
    path: { room: string; webhook: string };
    query: Record<never, never>;
    body: undefined;
    answer: NewWebhookSecret;
  };
  /** Search messages in the rooms that the caller is a member of */
  'GET /v1/search': {
    path: Record<never, never>;
    query: { after?: string; before?: string; cursor?: string; from?: string; has?: 'attachment'; limit?: number; q?: string; room?: string };
    body: undefined;
    answer: SearchResultPage;
  };
  /** Begin to upload a file */
  'POST /v1/uploads': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: CreateUploadRequest;
    answer: Upload;
  };
  /** Tell how much of an upload has arrived */
  'GET /v1/uploads/{upload}': {
    path: { upload: string };
    query: Record<never, never>;
    body: undefined;
    answer: Upload;
  };
  /** Send the next part of an upload */
  'PATCH /v1/uploads/{upload}': {
    path: { upload: string };
    query: Record<never, never>;
    body: RawBody;
    answer: Upload;
  };
  /** Give up an upload that no message has */
  'DELETE /v1/uploads/{upload}': {
    path: { upload: string };
    query: Record<never, never>;
    body: undefined;
    answer: undefined;
  };
  /** Return one's own profile */
  'GET /v1/users/me': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: User;
  };
  /** Change one's own profile */
  'PATCH /v1/users/me': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: PatchMeRequest;
    answer: User;
  };
  /** Erase one's own account */
  'DELETE /v1/users/me': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: EraseRequest;
    answer: undefined;
  };
  /** Set one's own picture */
  'PUT /v1/users/me/avatar': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: RawBody;
    answer: User;
  };
  /** Remove one's own picture */
  'DELETE /v1/users/me/avatar': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: undefined;
  };
  /** Deactivate one's own account */
  'POST /v1/users/me/deactivate': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: DeactivateRequest;
    answer: undefined;
  };
  /** Download everything that is held of oneself */
  'GET /v1/users/me/export': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: Response;
  };
  /** Change one's own password */
  'PUT /v1/users/me/password': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: PutPasswordRequest;
    answer: undefined;
  };
  /** List one's own personal access tokens */
  'GET /v1/users/me/tokens': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: PersonalTokenPage;
  };
  /** Make a personal access token */
  'POST /v1/users/me/tokens': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: CreateTokenRequest;
    answer: NewPersonalToken;
  };
  /** End a personal access token */
  'DELETE /v1/users/me/tokens/{token}': {
    path: { token: string };
    query: Record<never, never>;
    body: undefined;
    answer: undefined;
  };
  /** Return a profile */
  'GET /v1/users/{username}': {
    path: { username: string };
    query: Record<never, never>;
    body: undefined;
    answer: User;
  };
  /** Return the picture of a user */
  'GET /v1/users/{username}/avatar': {
    path: { username: string };
    query: { version?: string };
    body: undefined;
    answer: Response;
  };
  /** Tell whether someone is there */
  'GET /v1/users/{username}/presence': {
    path: { username: string };
    query: Record<never, never>;
    body: undefined;
    answer: PresenceResponse;
  };
  /** Open the WebSocket */
  'GET /v1/ws': {
    path: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: Response;
  };
}
