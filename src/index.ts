export type { Client, ClientEnd } from './delivery/client.js'
export type { FoundClient, Health, Presence, Removal, Selected } from './service/commands.js'
export type { Clock } from './clock.js'
export type { DisconnectReason } from './delivery/connection.js'
export type { ConnectionRate } from './http/connection-rate.js'
export { limitConnectionRate } from './http/connection-rate.js'
export type { Directory, DirectoryHost, Entry, Outcome, Revision, Stored } from './directory.js'
export type {
  BrokerOutage,
  BrokerState,
  Driver,
  NamedPayload,
  Payload,
  Published,
  Sink,
  Subscription,
  TopicKind,
} from './driver.js'
export type { Log, LogDriver, LogEntry, LogSink, LogSubscription } from './log.js'
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
  KeysUnavailableError,
  LogUnavailableError,
  MediaTypeError,
  MethodError,
  NoClientError,
  NoIdError,
  NotAcceptableError,
  NotOwnerError,
  OptionsError,
  PositionError,
  PublishError,
  RequestGoneError,
  RevokedError,
  ServerSilentError,
  StreamerClosedError,
  SubscribeError,
  TooManyClientsError,
  TooManyConnectionsError,
  TooManyOpenTopicsError,
  TooManyTopicsError,
  TopicNameError,
  TransientClientError,
  UnifrostError,
} from './errors.js'
export type { StreamerEvents } from './service/events.js'
export type { AnyRequest, StreamMethod } from './http/request.js'
export type { HandleOptions } from './http/stream.js'
export type { ClosableServer, ShutdownOptions } from './http/shutdown.js'
export type { WireErrorCode } from './wire/messages.js'
export type { EndsWith, KeyOf, TopicClient, TopicFilter, TopicOptions } from './topic-options.js'
export type { Asked, Authorize, Limits, Logger, StreamerOptions } from './options.js'
export type { Resume } from './delivery/resume.js'
export type { AnyResponse } from './http/response-outlet.js'
export type { Stats } from './service/stats.js'
export type { ClientOptions } from './service/clients.js'
export type { Revocable, RevokeOptions } from './service/revocations.js'
export type { OwnerName } from './service/owner.js'
export type { Labels, Which } from './service/selector.js'
export { Streamer } from './streamer.js'
export type { Allowance } from './allowance.js'
export type { SubscribeOptions, TopicAfter } from './service/subscriptions.js'
export type { Rechecked, Reconnected, WhichClients } from './service/rechecks.js'
