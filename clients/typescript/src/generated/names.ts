// Generated from the published specs by `npm run generate`. Do not edit.

/** The calls of the HTTP API by name. */
export const OPERATION_NAMES = {
  /** React to a message */
  addReaction: 'PUT /v1/rooms/{room}/messages/{message}/reactions/{emoji}',
  /** Erase the account of a person */
  adminEraseUser: 'DELETE /v1/admin/users/{username}',
  /** List logins that have not ended, newest first */
  adminListSessions: 'GET /v1/admin/sessions',
  /** List all users */
  adminListUsers: 'GET /v1/admin/users',
  /** Deactivate or reactivate a user, or give them a role */
  adminPatchUser: 'PATCH /v1/admin/users/{username}',
  /** Stop a bot's reply */
  cancelReply: 'POST /v1/rooms/{room}/messages/{message}/cancel',
  /** Make a bot */
  createBot: 'POST /v1/bots',
  /** Register a command that another program answers */
  createCommand: 'POST /v1/commands',
  /** Let another program post into a room */
  createIntegration: 'POST /v1/rooms/{room}/integrations',
  /** Make an invite link */
  createInvite: 'POST /v1/rooms/{room}/invites',
  /** Make a room */
  createRoom: 'POST /v1/rooms',
  /** Make a personal access token */
  createToken: 'POST /v1/users/me/tokens',
  /** Begin to upload a file */
  createUpload: 'POST /v1/uploads',
  /** Have an address told what happens in a room */
  createWebhook: 'POST /v1/rooms/{room}/webhooks',
  /** Make a ticket that opens one WebSocket */
  createWsTicket: 'POST /v1/auth/ws-ticket',
  /** Deactivate one's own account */
  deactivateMe: 'POST /v1/users/me/deactivate',
  /** Remove one's own picture */
  deleteAvatar: 'DELETE /v1/users/me/avatar',
  /** Delete a bot */
  deleteBot: 'DELETE /v1/bots/{bot}',
  /** Remove a registered command */
  deleteCommand: 'DELETE /v1/commands/{command}',
  /** End an integration */
  deleteIntegration: 'DELETE /v1/rooms/{room}/integrations/{integration}',
  /** Erase one's own account */
  deleteMe: 'DELETE /v1/users/me',
  /** Leave a room, or remove a member from it */
  deleteMember: 'DELETE /v1/rooms/{room}/members/{username}',
  /** Delete a room with all that is in it */
  deleteRoom: 'DELETE /v1/rooms/{room}',
  /** Delete all rooms that only the caller owns */
  deleteRooms: 'DELETE /v1/rooms',
  /** End a personal access token */
  deleteToken: 'DELETE /v1/users/me/tokens/{token}',
  /** Give up an upload that no message has */
  deleteUpload: 'DELETE /v1/uploads/{upload}',
  /** End a webhook */
  deleteWebhook: 'DELETE /v1/rooms/{room}/webhooks/{webhook}',
  /** Change the text of one's own message */
  editMessage: 'PATCH /v1/rooms/{room}/messages/{message}',
  /** Download everything that is held of oneself */
  exportMe: 'GET /v1/users/me/export',
  /** Download a room's history */
  exportRoom: 'GET /v1/rooms/{room}/export',
  /** Follow a room as server-sent events */
  followRoom: 'GET /v1/rooms/{room}/events',
  /** Return the description of the WebSocket */
  getAsyncapi: 'GET /asyncapi.json',
  /** Return the address of an attachment */
  getAttachment: 'GET /v1/rooms/{room}/attachments/{file}',
  /** Return the picture of a user */
  getAvatar: 'GET /v1/users/{username}/avatar',
  /** Return a bot */
  getBot: 'GET /v1/bots/{bot}',
  /** Download an attachment */
  getFile: 'GET /v1/files/{file}/{name}',
  /** Tell whether the process is alive */
  getHealth: 'GET /healthz',
  /** Tell what this server is, and its limits */
  getInfo: 'GET /info',
  /** Tell what an invite link leads to */
  getInvite: 'GET /v1/invites/{code}',
  /** Return one's own profile */
  getMe: 'GET /v1/users/me',
  /** Tell what the bots of a room can remember */
  getMemory: 'GET /v1/rooms/{room}/memory',
  /** Return a message */
  getMessage: 'GET /v1/rooms/{room}/messages/{message}',
  /** Return metrics in the text format of Prometheus */
  getMetrics: 'GET /metrics',
  /** Return this document */
  getOpenapi: 'GET /openapi.json',
  /** Tell whether someone is there */
  getPresence: 'GET /v1/users/{username}/presence',
  /** Explain an error code */
  getProblemType: 'GET /problems/{code}',
  /** Tell whether the providers can be reached */
  getProviderHealth: 'GET /v1/llm/health',
  /** Tell whether the node takes work */
  getReadiness: 'GET /readyz',
  /** Return a room */
  getRoom: 'GET /v1/rooms/{room}',
  /** Return the JSON Schema of all frames */
  getSchema: 'GET /schema.json',
  /** Return who is logged in, and how */
  getSession: 'GET /v1/auth/session',
  /** Return the state of the server */
  getStatus: 'GET /v1/admin/status',
  /** Tell how much of an upload has arrived */
  getUpload: 'GET /v1/uploads/{upload}',
  /** Return a profile */
  getUser: 'GET /v1/users/{username}',
  /** Return a webhook, and how it goes */
  getWebhook: 'GET /v1/rooms/{room}/webhooks/{webhook}',
  /** Make a room of a file */
  importRoom: 'POST /v1/rooms/import',
  /** List who may not enter a room */
  listBans: 'GET /v1/rooms/{room}/bans',
  /** List the bots */
  listBots: 'GET /v1/bots',
  /** List the commands that a room has registered */
  listCommands: 'GET /v1/commands',
  /** List the events that were given up */
  listDeadLetters: 'GET /v1/rooms/{room}/webhooks/{webhook}/dead-letters',
  /** List the programs that may post into a room */
  listIntegrations: 'GET /v1/rooms/{room}/integrations',
  /** List the invite links that work */
  listInvites: 'GET /v1/rooms/{room}/invites',
  /** List the members of a room */
  listMembers: 'GET /v1/rooms/{room}/members',
  /** Read a room's history */
  listMessages: 'GET /v1/rooms/{room}/messages',
  /** List the pinned messages of a room */
  listPins: 'GET /v1/rooms/{room}/pins',
  /** List the configured providers and their models */
  listProviders: 'GET /v1/llm/providers',
  /** List rooms: public ones, and those that the caller is a member of */
  listRooms: 'GET /v1/rooms',
  /** List one's own personal access tokens */
  listTokens: 'GET /v1/users/me/tokens',
  /** List the texts that a message has had */
  listVersions: 'GET /v1/rooms/{room}/messages/{message}/versions',
  /** List the addresses that are told what happens in a room */
  listWebhooks: 'GET /v1/rooms/{room}/webhooks',
  /** Log in with user name or e-mail address, and password */
  logIn: 'POST /v1/auth/token',
  /** End this login everywhere */
  logOut: 'POST /v1/auth/logout',
  /** Set the read marker */
  markRead: 'PUT /v1/rooms/{room}/read',
  /** Open the WebSocket */
  openWebsocket: 'GET /v1/ws',
  /** Change a bot */
  patchBot: 'PATCH /v1/bots/{bot}',
  /** Change one's own profile */
  patchMe: 'PATCH /v1/users/me',
  /** Rename, retopic, archive or reopen a room, or change its settings */
  patchRoom: 'PATCH /v1/rooms/{room}',
  /** Change a webhook, or switch it on or off */
  patchWebhook: 'PATCH /v1/rooms/{room}/webhooks/{webhook}',
  /** Pin a message */
  pinMessage: 'PUT /v1/rooms/{room}/messages/{message}/pin',
  /** Post into a room as an integration */
  postByHook: 'POST /v1/hooks/{secret}',
  /** Write a message */
  publish: 'POST /v1/rooms/{room}/messages',
  /** Set one's own picture */
  putAvatar: 'PUT /v1/users/me/avatar',
  /** Join, invite, or change a member */
  putMember: 'PUT /v1/rooms/{room}/members/{username}',
  /** Change one's own password */
  putPassword: 'PUT /v1/users/me/password',
  /** Remove the text of a message */
  redactMessage: 'DELETE /v1/rooms/{room}/messages/{message}',
  /** Deliver an event once more that was given up */
  redeliver: 'POST /v1/rooms/{room}/webhooks/{webhook}/dead-letters/{seq}/redeliver',
  /** Exchange a refresh token for a new pair */
  refresh: 'POST /v1/auth/refresh',
  /** Make an account and log in to it */
  register: 'POST /v1/auth/register',
  /** Take a reaction back */
  removeReaction: 'DELETE /v1/rooms/{room}/messages/{message}/reactions/{emoji}',
  /** Remove everything that was written in a room */
  resetHistory: 'DELETE /v1/rooms/{room}/messages',
  /** Revoke an invite link */
  revokeInvite: 'DELETE /v1/rooms/{room}/invites/{code}',
  /** Give an integration a new address */
  rotateIntegration: 'POST /v1/rooms/{room}/integrations/{integration}/rotate',
  /** Give a webhook a new secret */
  rotateWebhook: 'POST /v1/rooms/{room}/webhooks/{webhook}/rotate',
  /** Carry out a slash command */
  runCommand: 'POST /v1/rooms/{room}/commands',
  /** Search messages in the rooms that the caller is a member of */
  searchMessages: 'GET /v1/search',
  /** Send the next part of an upload */
  sendPart: 'PATCH /v1/uploads/{upload}',
  /** Choose which messages of a room to be told of */
  setNotifications: 'PUT /v1/rooms/{room}/notifications',
  /** Make the first administrator */
  setUp: 'POST /v1/auth/setup',
  /** Send one prompt through a provider */
  testPrompt: 'POST /v1/llm/test',
  /** Give one's ownership of a room to another member */
  transferRoom: 'POST /v1/rooms/{room}/transfer',
  /** Unpin a message */
  unpinMessage: 'DELETE /v1/rooms/{room}/messages/{message}/pin',
} as const;
