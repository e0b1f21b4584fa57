/** Marks the errors of every copy of this package. A registered symbol is one for all copies. */
const BRAND: unique symbol = Symbol.for('unifrost.error') as never

/**
 * Base of all errors that this package throws. `code` is stable and part of the public API.
 * Express, Koa and other users of `http-errors` read `status`, `statusCode`, `expose` and `headers`.
 *
 * `error instanceof UnifrostError` is also true for an error of the package's other module format
 * (ESM beside CommonJS), whose classes are others. Tell single errors apart by `code`.
 */
export abstract class UnifrostError extends Error {
  static override [Symbol.hasInstance](value: unknown): boolean {
    // A subclass inherits this method.
    if (this !== UnifrostError) return Function.prototype[Symbol.hasInstance].call(this, value)
    return typeof value === 'object' && value !== null && BRAND in value
  }

  /** Names the cause: `ERR_UNIFROST_…`. It is stable. */
  abstract readonly code: string
  /** The HTTP status of the answer. */
  abstract readonly status: number
  /** Whether the message may be sent to the client. */
  readonly expose: boolean = true
  /** Headers to send with the answer. */
  readonly headers: Record<string, string> = {}

  override get name(): string {
    return this.constructor.name
  }

  /** `status`, by the name that Fastify, NestJS and many error handlers read. */
  get statusCode(): number {
    return this.status
  }

  /** @internal */
  get [BRAND](): true {
    return true
  }
}

/**
 * Text of a stranger's, quoted for a message. An error handler that sends the message as HTML must
 * not make a script of it.
 */
export function quote(text: string): string {
  const escape = (character: string) =>
    `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  return JSON.stringify(text).replace(/[<>&'`\u2028\u2029]/g, escape)
}

/** No client has this id: it never existed, its TTL has passed, or it was removed. */
export class NoClientError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_NO_CLIENT'
  readonly status = 401
  constructor() {
    super(
      'No client has this id: it was never created, was removed, or stayed away for longer ' +
        'than its TTL. Create a client and connect with its id.',
    )
  }
}

/** `newCustomClient` was given the id of a client that is live. */
export class ClientExistsError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_CLIENT_EXISTS'
  readonly status = 409
  constructor() {
    super('A client with this id is live. Use it (getClient), remove it first, or take another id.')
  }
}

/** A topic was to be added to a client that goes with its connection: it would be gone with the next drop. */
export class TransientClientError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_TRANSIENT_CLIENT'
  readonly status = 409
  constructor() {
    super(
      'This client goes with its connection, and so would the topic. Name the topic in the ' +
        "stream's address, subscribe it in a listener of 'connect', or let the client last: " +
        'autoClient takes redirect: true or id for that.',
    )
  }
}

/** The client id is not a string of 1 to 256 characters, or it holds a control character. */
export class ClientIdError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_CLIENT_ID'
  readonly status = 400
}

/** The name can't be a topic's. The broker was not asked. */
export class TopicNameError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_TOPIC_NAME'
  readonly status = 400
}

/** The client already has as many topics as `maxTopics` allows. */
export class TooManyTopicsError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_TOO_MANY_TOPICS'
  readonly status = 400
  /** @param named How many topics one request names, where that is already too many. */
  constructor(
    readonly limit: number,
    named?: number,
  ) {
    super(
      named === undefined
        ? `This client has ${limit} topics, the most that it may have. Unsubscribe from one ` +
            'first, or raise maxTopics.'
        : `The request names ${named} topics; a client has at most ${limit} (maxTopics). Name fewer.`,
    )
  }
}

/** The Streamer has `maxClients` clients, or this owner or address as many as it may have. */
export class TooManyClientsError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_TOO_MANY_CLIENTS'
  readonly status: 503 | 429
  override readonly headers = { 'Retry-After': '5' }
  constructor(per?: 'owner' | 'address', limit = 0) {
    super(
      per === undefined
        ? 'The server has reached its limit of clients. Try again later.'
        : `This ${per} has ${limit} clients, the most that it may have. Use one of them, remove ` +
            'one, or wait until one that is not connected expires.',
    )
    this.status = per === undefined ? 503 : 429
  }
}

/**
 * `maxOpenTopics` topics are open on the broker, or this owner or address has opened as many as it
 * may.
 */
export class TooManyOpenTopicsError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_TOO_MANY_OPEN_TOPICS'
  readonly status: 503 | 429
  override readonly headers = { 'Retry-After': '5' }
  constructor(
    readonly limit: number,
    readonly per?: 'owner' | 'address',
  ) {
    super(
      per === undefined
        ? 'The server has reached its limit of open topics. Try again later.'
        : `This ${per} has opened ${limit} topics, the most that it may. Unsubscribe from one first.`,
    )
    this.status = per === undefined ? 503 : 429
  }
}

/** The Streamer is draining or closed. */
export class StreamerClosedError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_CLOSED'
  readonly status = 503
  override readonly headers = { 'Retry-After': '5' }
  constructor() {
    super('The server is shutting down and takes no new clients or subscriptions.')
  }
}

/** The driver could not open the topic. `cause` is the driver's own error; it says what to do. */
export class SubscribeError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_SUBSCRIBE'
  readonly status = 502
  constructor(
    readonly topic: string,
    cause: unknown,
  ) {
    super(`The broker did not open topic ${quote(topic)}.`, { cause })
  }
}

/** The driver could not publish a message. `cause` is the driver's own error; it says what to do. */
export class PublishError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_PUBLISH'
  readonly status = 502
  constructor(
    readonly topic: string,
    cause: unknown,
  ) {
    super(`The broker did not take a message for topic ${quote(topic)}.`, { cause })
  }
}

/**
 * The driver's log could not be opened, so positions are not known. `cause` is the driver's own
 * error; it says what to do.
 */
export class LogUnavailableError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_LOG_UNAVAILABLE'
  readonly status = 503
  override readonly headers = { 'Retry-After': '5' }
  constructor(cause: unknown) {
    super("The broker's log can't be read at the moment. Try again later.", { cause })
  }
}

/** An option is wrong. The message names it, what it got and what it takes. */
export class OptionsError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_OPTIONS'
  readonly status = 500
  override readonly expose = false
}

/** The request names no client. */
export class NoIdError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_NO_ID'
  readonly status = 400
  constructor() {
    super('The request names no client. Connect with ?id=CLIENT_ID.')
  }
}

/** The client closed its connection before it was answered. It never sees this error. */
export class RequestGoneError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_REQUEST_GONE'
  readonly status = 499
  constructor() {
    super('The client closed its connection before it was answered.')
  }
}

/** The client belongs to another owner. */
export class NotOwnerError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_NOT_OWNER'
  readonly status = 403
  constructor() {
    super('This client belongs to another owner.')
  }
}

/** The address does not accept the request's method. */
export class MethodError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_METHOD'
  readonly status = 405
  override readonly headers: Record<string, string>
  constructor(got: string, allowed: readonly string[]) {
    super(`This address does not accept ${quote(got)}. It accepts ${allowed.join(' and ')}.`)
    this.headers = { Allow: allowed.join(', ') }
  }
}

/** The request's `Accept` excludes `text/event-stream`. */
export class NotAcceptableError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_NOT_ACCEPTABLE'
  readonly status = 406
  constructor() {
    super('This address answers with text/event-stream only. The Accept header excludes it.')
  }
}

/** The request has no token, or its token is not valid. */
export class AuthenticationError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_UNAUTHENTICATED'
  readonly status = 401
  override readonly headers: Record<string, string>
  /**
   * @param message Says why. It is sent to the client.
   * @param presented Whether the request had a token. The `WWW-Authenticate` header says
   *   `invalid_token` only then (RFC 6750, section 3.1).
   */
  constructor(message: string, presented: boolean) {
    super(message)
    const challenge = presented ? 'Bearer error="invalid_token"' : 'Bearer'
    this.headers = { 'WWW-Authenticate': challenge }
  }
}

/**
 * The request's user, log-in or client was revoked, and its token was not issued later. See
 * `Streamer.revoke`.
 */
export class RevokedError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_REVOKED'
  readonly status = 401
  override readonly headers = { 'WWW-Authenticate': 'Bearer error="invalid_token"' }
  constructor() {
    super('This log-in was revoked. Log in again.')
  }
}

/** The client may not subscribe to these topics. */
export class ForbiddenTopicError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_FORBIDDEN_TOPIC'
  readonly status = 403
  /** @param reason Further sentences, which are sent to the client. */
  constructor(
    readonly topics: readonly string[],
    reason = '',
  ) {
    const names = topics.map(quote).join(', ')
    super(`You may not subscribe to ${names}.${reason && ` ${reason}`}`)
  }
}

/** The request's body is not what the address expects. The message names the field. */
export class BodyError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_BODY'
  readonly status = 400
}

/** A position that a request names is not one that this server can go on from. */
export class PositionError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_POSITION'
  readonly status = 400
  constructor() {
    super(
      'This server can not go on after this position: it was not given out here, too long ago, or ' +
        'before the topic was taken from the client. Load the data again and take its Unifrost-Position. With several servers and a driver ' +
        'without a log, subscribe first, keep the messages that come, load the data, then apply them.',
    )
  }
}

/** The request's body is larger than `maxBodyBytes`. */
export class BodyTooLargeError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_BODY_TOO_LARGE'
  readonly status = 413
  constructor(limit: number) {
    super(`The body is larger than ${limit} bytes, the most that this address reads.`)
  }
}

/** The request's body is not JSON, by its `Content-Type`. */
export class MediaTypeError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_MEDIA_TYPE'
  readonly status = 415
  constructor() {
    super('The body must be JSON, with Content-Type: application/json.')
  }
}

/** The issuer's keys can't be fetched now, or a token names a key that they do not have yet. */
export class KeysUnavailableError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_KEYS_UNAVAILABLE'
  readonly status = 503
  override readonly headers: Record<string, string>
  /** @param wait After how many seconds to try again. */
  constructor(wait: number, cause: unknown) {
    super("The issuer's keys are not available. Try again later.", { cause })
    this.headers = { 'Retry-After': String(wait) }
  }
}

/** A function of the application's, such as `authorize`, threw, or gave what it must not give. */
export class CallbackError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_CALLBACK'
  readonly status = 500
  override readonly expose = false
  constructor(callback: string, cause: unknown) {
    super(`${callback} failed: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    })
  }
}

/** This owner, or this network address, has as many open streams as the limit allows. */
export class TooManyConnectionsError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_TOO_MANY_CONNECTIONS'
  readonly status = 429
  override readonly headers = { 'Retry-After': '5' }
  constructor(per: 'owner' | 'address', limit: number) {
    super(`This ${per} has ${limit} open streams, the most that it may have. Close one first.`)
  }
}

/** The directory of clients does not answer. `cause` is the engine's own error; it says why. */
export class DirectoryUnavailableError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_DIRECTORY_UNAVAILABLE'
  readonly status = 503
  override readonly headers = { 'Retry-After': '5' }
  constructor(cause: unknown) {
    super('The directory of clients does not answer. Try again later.', { cause })
  }
}

/**
 * The server that has the client did not answer in time, or failed. It may have carried out the
 * command all the same. A client whose stream is on that server reconnects by itself.
 */
export class ServerSilentError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_SERVER_SILENT'
  readonly status = 503
  override readonly expose = false
  override readonly headers = { 'Retry-After': '5' }
  constructor(
    /** The servers that did not answer, separated by commas. */
    readonly server: string,
    cause?: unknown,
  ) {
    super(`The server ${server} did not answer in time. Try again when its lease has lapsed.`, {
      cause,
    })
  }
}

/** The request carries cookies, and a page of another site made it. */
export class CrossSiteError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_CROSS_SITE'
  readonly status = 403
  constructor() {
    super('A page of another site made this request. It may not use the cookies of this site.')
  }
}

/**
 * Whether an error says itself that the client may see its status and message, as the errors of
 * `http-errors` do with `expose`.
 */
export function isExposed(
  error: unknown,
): error is Error & { status: number; headers?: Record<string, string> } {
  if (!(error instanceof Error)) return false
  const { expose, status } = error as { expose?: unknown; status?: unknown }
  return (
    expose === true &&
    Number.isInteger(status) &&
    (status as number) >= 400 &&
    (status as number) < 600
  )
}

/** What to throw for an error of a function of the application's: what is meant for the client as it is. */
export function callbackError(callback: string, error: unknown): unknown {
  if (error instanceof UnifrostError || isExposed(error)) return error
  return new CallbackError(callback, error)
}
