/**
 * Every error of ours. `code` is stable and part of the public API; `status`, `expose` and
 * `headers` are read by Express, Koa and everything else that knows `http-errors`.
 */
export abstract class UnifrostError extends Error {
  /** Stable and unique to the cause, `ERR_UNIFROST_…`. */
  abstract readonly code: string
  /** The HTTP status that says the same. */
  abstract readonly status: number
  /** Whether the message may be shown to whoever sent the request. */
  readonly expose: boolean = true
  /** Headers that belong to the answer. */
  readonly headers: Record<string, string> = {}

  override get name(): string {
    return this.constructor.name
  }
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

/** An id for a client that is not a string of 1 to 256 characters without control characters. */
export class ClientIdError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_CLIENT_ID'
  readonly status = 400
}

/** A name that can't be a topic. Nothing has reached the broker. */
export class TopicNameError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_TOPIC_NAME'
  readonly status = 400
}

/** The client already has as many topics as `maxTopics` allows. */
export class TooManyTopicsError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_TOO_MANY_TOPICS'
  readonly status = 400
  constructor(readonly limit: number) {
    super(
      `This client has ${limit} topics, as many as one may have. Unsubscribe from one first, ` +
        'or raise maxTopics.',
    )
  }
}

/** As many clients are live as `maxClients` allows. */
export class TooManyClientsError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_TOO_MANY_CLIENTS'
  readonly status = 503
  override readonly headers = { 'Retry-After': '5' }
  constructor() {
    super('The server has as many clients as it takes. Try again later.')
  }
}

/** The Streamer is draining or closed. */
export class StreamerClosedError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_CLOSED'
  readonly status = 503
  override readonly headers = { 'Retry-After': '5' }
  constructor() {
    super('The streamer is closing or closed and takes no new work.')
  }
}

/**
 * The broker did not give us the topic. `cause` is the driver's own error, and says what to do.
 */
export class SubscribeError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_SUBSCRIBE'
  readonly status = 502
  constructor(
    readonly topic: string,
    cause: unknown,
  ) {
    super(`The broker did not open topic ${JSON.stringify(topic)}.`, { cause })
  }
}

/**
 * The driver's log could not be opened, and without it there are no positions. `cause` is the
 * driver's own error, and says what to do.
 */
export class LogUnavailableError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_LOG_UNAVAILABLE'
  readonly status = 503
  override readonly headers = { 'Retry-After': '5' }
  constructor(cause: unknown) {
    super("The broker's log can't be read at the moment. Try again later.", { cause })
  }
}

/** A wrong option. The message names it, what it got and what it takes. */
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

/** The request was broken off before it could be answered. Nobody is there to see this. */
export class RequestGoneError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_REQUEST_GONE'
  readonly status = 499
  constructor() {
    super('The request was broken off before it could be answered.')
  }
}

/** The client belongs to someone else. */
export class NotOwnerError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_NOT_OWNER'
  readonly status = 403
  constructor() {
    super('This client belongs to someone else.')
  }
}

/** The request's method is not one that this address answers. */
export class MethodError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_METHOD'
  readonly status = 405
  override readonly headers: Record<string, string>
  constructor(got: string, allowed: readonly string[]) {
    super(
      `${got} is not answered here; ${allowed.join(', ')} ${allowed.length > 1 ? 'are' : 'is'}.`,
    )
    this.headers = { Allow: allowed.join(', ') }
  }
}

/** The request's `Accept` excludes `text/event-stream`. */
export class NotAcceptableError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_NOT_ACCEPTABLE'
  readonly status = 406
  constructor() {
    super('This address answers with text/event-stream only, which the Accept header excludes.')
  }
}

/** The request proves nobody's identity: no token, or one that does not hold. */
export class AuthenticationError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_UNAUTHENTICATED'
  readonly status = 401
  override readonly headers: Record<string, string>
  /**
   * @param message Why, in words that may be shown.
   * @param presented Whether there was a token at all (RFC 6750, section 3.1).
   */
  constructor(message: string, presented: boolean) {
    super(message)
    const challenge = presented ? 'Bearer error="invalid_token"' : 'Bearer'
    this.headers = { 'WWW-Authenticate': challenge }
  }
}

/** Topics that the caller may not have. */
export class ForbiddenTopicError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_FORBIDDEN_TOPIC'
  readonly status = 403
  constructor(readonly topics: readonly string[]) {
    super(`You may not subscribe to ${topics.map((topic) => JSON.stringify(topic)).join(', ')}.`)
  }
}

/** A request's body that is not what is expected. The message names the field. */
export class BodyError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_BODY'
  readonly status = 400
}

/** A request's body that is larger than is taken. */
export class BodyTooLargeError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_BODY_TOO_LARGE'
  readonly status = 413
  constructor(limit: number) {
    super(`The body has more than ${limit} bytes, which is the most that is taken here.`)
  }
}

/** A request's body in another form than JSON. */
export class MediaTypeError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_MEDIA_TYPE'
  readonly status = 415
  constructor() {
    super('The body must be JSON, with Content-Type: application/json.')
  }
}

/** A function of the application's, such as `authorize`, threw. `cause` is what it threw. */
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

/** As many streams are open for this owner, or this address, as the limits allow. */
export class TooManyConnectionsError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_TOO_MANY_CONNECTIONS'
  readonly status = 429
  override readonly headers = { 'Retry-After': '5' }
  constructor(per: 'owner' | 'address', limit: number) {
    super(
      `There are ${limit} streams open for this ${per}, the most there may be. Close one first.`,
    )
  }
}

/** The directory of clients does not answer. `cause` is the engine's own error, and says why. */
export class DirectoryUnavailableError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_DIRECTORY_UNAVAILABLE'
  readonly status = 503
  override readonly headers = { 'Retry-After': '5' }
  constructor(cause: unknown) {
    super('The directory of clients does not answer. Try again later.', { cause })
  }
}

/**
 * Another server has the client, and does not answer or could not do what was asked. What was
 * asked may have been done all the same. A client that has a stream there comes back by itself.
 */
export class ServerSilentError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_SERVER_SILENT'
  readonly status = 503
  override readonly expose = false
  override readonly headers = { 'Retry-After': '5' }
  constructor(
    /** The servers that did not answer, with commas between them. */
    readonly server: string,
    cause?: unknown,
  ) {
    super(`The server ${server} did not answer in time. Try again when its lease has lapsed.`, {
      cause,
    })
  }
}

/** A request with cookies that a page of another site has made. */
export class CrossSiteError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_CROSS_SITE'
  readonly status = 403
  constructor() {
    super('This request comes from another site, which may not use the cookies of this one.')
  }
}
