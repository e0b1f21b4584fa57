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
  constructor(limit: number) {
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
