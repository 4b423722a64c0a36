/** The Parlor client library: what a program outside this folder may use. */

export { Api, type ExportFormat, type HistoryQuery, type NewRoom } from './api.js';
export type { Backoff } from './backoff.js';
export type { CallArguments, CallOptions, Calls, ItemOf, ListKey, OperationKey } from './call.js';
export { ParlorClient, type ClientOptions } from './client.js';
export { mayReconnect } from './close-codes.js';
export { Connection, type ConnectionState } from './connection.js';
export { Directory } from './directory.js';
export type { ListenOptions } from './emitter.js';
export { asParlorError, ParlorError, type FieldError } from './errors.js';
export { Feed, type FeedChange, type FeedPhase } from './feed.js';
export type { Resynced } from './gap.js';
export { HttpClient } from './http.js';
export {
  Outbox,
  type OutboxLimits,
  type OutgoingMessage,
  type PublishFields,
  type PublishState,
} from './outbox.js';
export type { ConnectionOptions, Wishes } from './opening.js';
export { Parlor, type ParlorEvents, type ParlorOptions } from './parlor.js';
export {
  browserPorts,
  platformPorts,
  type KeyValueStore,
  type Locks,
  type PlatformOptions,
  type Ports,
  type SocketClass,
  type SocketLike,
  type Timers,
} from './ports.js';
export type { ReplyProgress } from './reply-watch.js';
export { ParlorRoom } from './room.js';
export type {
  CommandOptions,
  LoopOptions,
  RoomEvents,
  RoomItem,
  SendOptions,
  Sent,
} from './room-contract.js';
export { Roster } from './roster.js';
export { Subscription, type Started, type SubscriptionPhase } from './subscription.js';
export { Timeline } from './timeline.js';
export { TokenVault, type Login } from './tokens.js';
export type * from './types.js';
export type { UploadOptions } from './upload.js';
