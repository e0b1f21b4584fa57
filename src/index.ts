export type { Client, ClientEnd } from './client.js'
export type { FoundClient, Health, Presence } from './calls.js'
export type { Clock } from './clock.js'
export type { DisconnectReason } from './connection.js'
export type { ConnectionRate } from './connection-rate.js'
export { limitConnectionRate } from './connection-rate.js'
export type { Directory, DirectoryHost, Entry, Outcome, Revision, Stored } from './directory.js'
export type { Driver, Log, LogEntry, Sink, Subscription } from './driver.js'
export type { MemoryDriver, MemoryDriverOptions } from './drivers/memory.js'
export { memoryDriver } from './drivers/memory.js'
export {
  AuthenticationError,
  BodyError,
  BodyTooLargeError,
  CallbackError,
  ClientExistsError,
  ClientIdError,
  CrossSiteError,
  DirectoryUnavailableError,
  ForbiddenTopicError,
  LogUnavailableError,
  MediaTypeError,
  MethodError,
  NoClientError,
  NoIdError,
  NotAcceptableError,
  NotOwnerError,
  OptionsError,
  RequestGoneError,
  ServerSilentError,
  StreamerClosedError,
  SubscribeError,
  TooManyClientsError,
  TooManyConnectionsError,
  TooManyTopicsError,
  TopicNameError,
  UnifrostError,
} from './errors.js'
export type { StreamerEvents } from './events.js'
export type { AnyRequest, HandleOptions } from './handle.js'
export type { WireErrorCode } from './messages.js'
export type { Logger, StreamerOptions } from './options.js'
export type { Resume } from './resume.js'
export type { AnyResponse } from './response-outlet.js'
export type { Stats } from './stats.js'
export type { ClientOptions } from './streamer.js'
export { Streamer } from './streamer.js'
export type { SubscribeOptions } from './subscriptions.js'
