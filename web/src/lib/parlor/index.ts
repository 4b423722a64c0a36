/** The Parlor client library: what a program outside this folder may use. */

export { Api, type ExportFormat, type NewRoom } from './api';
export { ParlorClient, type ClientOptions } from './client';
export { Connection, type ConnectionState } from './connection';
export { Directory } from './directory';
export { asParlorError, ParlorError, type FieldError } from './errors';
export { Feed, type FeedChange, type FeedPhase } from './feed';
export { HttpClient } from './http';
export { Outbox, type OutgoingMessage, type PublishState } from './outbox';
export { browserPorts, type Ports, type SocketLike, type Timers } from './ports';
export { Roster } from './roster';
export { Timeline } from './timeline';
export { TokenVault, type Login } from './tokens';
export type * from './types';
