/** The Parlor client library: what a program outside this folder may use. */

export { Api, type ExportFormat, type NewRoom } from './api.js';
export { ParlorClient, type ClientOptions } from './client.js';
export { Connection, type ConnectionState } from './connection.js';
export { Directory } from './directory.js';
export { asParlorError, ParlorError, type FieldError } from './errors.js';
export { Feed, type FeedChange, type FeedPhase } from './feed.js';
export { HttpClient } from './http.js';
export { Outbox, type OutgoingMessage, type PublishState } from './outbox.js';
export { browserPorts, type Ports, type SocketLike, type Timers } from './ports.js';
export { Roster } from './roster.js';
export { Timeline } from './timeline.js';
export { TokenVault, type Login } from './tokens.js';
export type * from './types.js';
