import { EventEmitter } from 'node:events'
import { Readable } from 'node:stream'
import type { AnyRequest, AnyResponse, Client, HandleOptions, Streamer } from '../src/index.js'
import { OptionsError, RequestGoneError, UnifrostError } from '../src/index.js'
import {
  arrivalOf,
  doorOf,
  passingRefusal,
  publicError,
  STREAM_HEADERS,
  WebOutlet,
} from '../src/for-middleware.js'
import type { Answer } from './request-context.js'
import { ANSWER_HEADERS } from './send-answer.js'

/** What a framework or a runtime knows of a request, and the request does not say. */
export interface FetchContext {
  /** The user, as the framework's log-in has found it (the principal). Default: nobody. */
  user?: unknown
  /**
   * The client's network address, for the limits per address and for `maxConnectionsPerAddress`.
   * Default: not known, so these limits do not apply.
   */
  address?: string | undefined
  /**
   * The host that the browser asked for, with which its page's `Origin` is compared. Default: the
   * request's `Host`. Give it behind a proxy that changes `Host`.
   */
  host?: string | undefined
  /** The body, where it was read and parsed before. Default: it is read from the request. */
  body?: unknown
}

/** Answers an error of ours in place of JSON. It may throw the error to the framework. */
export type ErrorPage = (error: unknown, request: Request) => Response | Promise<Response>

const noted = new WeakMap<Request, FetchContext>()
const exchanges = new WeakMap<Request, Exchange>()

/** Notes what is known of a request. */
export function noteContext(request: Request, context: FetchContext): void {
  noted.set(request, { ...noted.get(request), ...context })
}

export function contextNoted(request: Request): FetchContext {
  return noted.get(request) ?? {}
}

/** The exchange of a request that is being answered, shared by all handlers around one another. */
export function exchangeOf(request: Request): Exchange {
  const running = exchanges.get(request)
  if (running !== undefined) return running
  const exchange = new Exchange(request, () => exchanges.delete(request))
  exchanges.set(request, exchange)
  return exchange
}

/**
 * One request and its answer. What all middleware shares reads requests and hears responses as
 * Node's, so both have a shape of Node's here: as much of it as is used.
 */
export class Exchange {
  readonly request: AnyRequest
  readonly response: AnyResponse
  errorPage: ErrorPage | undefined = undefined
  private readonly incoming: Incoming
  private readonly outgoing = new Outgoing()
  private outlet: WebOutlet | undefined = undefined
  /** How many handlers, one around the other, are at work. */
  private depth = 0
  private readonly onAbort = () => {
    this.incoming.abort()
    if (this.outlet === undefined) this.close()
    else this.outlet.leave()
  }

  constructor(
    readonly original: Request,
    private readonly forget: () => void,
  ) {
    this.incoming = new Incoming(original)
    this.request = this.incoming as unknown as AnyRequest
    this.response = this.outgoing as unknown as AnyResponse
    if (original.signal.aborted) this.onAbort()
    else original.signal.addEventListener('abort', this.onAbort, { once: true })
  }

  /** Runs a handler. When the outermost is done, and no stream is open, the exchange is over. */
  async run(handle: () => Promise<Response>): Promise<Response> {
    this.depth++
    try {
      return await handle()
    } finally {
      this.depth--
      if (this.depth === 0 && this.outlet === undefined) this.close()
    }
  }

  /** The response with a client's stream. */
  stream(streamer: Streamer, client: Client, terms: HandleOptions): Response {
    const door = doorOf(streamer)
    if (this.outgoing.destroyed) {
      door.abandon(client)
      throw new RequestGoneError()
    }
    if (this.request.method === 'HEAD') {
      door.abandon(client)
      return new Response(null, { headers: STREAM_HEADERS })
    }
    const outlet = new WebOutlet(() => this.close())
    this.outlet = outlet
    this.outgoing.headersSent = true
    door.attach(client, outlet, arrivalOf(this.request, terms))
    return new Response(outlet.body, { headers: STREAM_HEADERS })
  }

  answer({ status, headers = {}, body }: Answer): Response {
    const init = { status, headers: { ...ANSWER_HEADERS, ...headers } }
    return body === undefined ? new Response(null, init) : Response.json(body, init)
  }

  /** The stream that says what passes by itself, to an EventSource. */
  private refusal(error: unknown, streamer: Streamer | undefined): Response | undefined {
    if (this.outgoing.destroyed) return undefined
    const refusal = passingRefusal(streamer && doorOf(streamer), this.request, error)
    return refusal && new Response(new Uint8Array(refusal.body), { headers: refusal.headers })
  }

  /** Answers an error. @throws the error where nobody could be told why the answer is a 500 */
  async fail(error: unknown, streamer: Streamer | undefined): Promise<Response> {
    const refusal = this.refusal(error, streamer)
    if (refusal !== undefined) return refusal
    if (this.errorPage !== undefined) return this.errorPage(error, this.original)
    if (!(error instanceof UnifrostError && error.expose)) {
      if (streamer === undefined) throw error
      doorOf(streamer).failed(error)
    }
    return this.answer(publicError(error))
  }

  private close(): void {
    this.original.signal.removeEventListener('abort', this.onAbort)
    this.forget()
    this.outgoing.close()
  }
}

function hasBodyNoted(request: Request): boolean {
  return contextNoted(request).body !== undefined
}

/** A request, as far as the shared middleware reads it. */
class Incoming extends Readable {
  readonly method: string
  readonly url: string
  readonly headers: Record<string, string>
  readonly httpVersionMajor = 2
  readonly socket: { destroyed: boolean; remoteAddress: undefined }
  aborted = false
  private reader: ReadableStreamDefaultReader<Uint8Array> | undefined

  constructor(private readonly original: Request) {
    super()
    const { pathname, search, host } = new URL(original.url)
    this.method = original.method
    this.url = pathname + search
    this.headers = { host, ...Object.fromEntries(original.headers) }
    this.socket = { destroyed: false, remoteAddress: undefined }
    const isBare = this.method === 'GET' || this.method === 'HEAD'
    const hasBody = !isBare && (original.body !== null || hasBodyNoted(original))
    // Without a length, a body came in chunks.
    if (hasBody && this.headers['content-length'] === undefined) {
      this.headers['transfer-encoding'] = 'chunked'
    }
    this.on('error', () => undefined)
  }

  abort(): void {
    this.aborted = true
    this.socket.destroyed = true
    this.destroy()
  }

  override _read(): void {
    const { body, bodyUsed } = this.original
    const { body: parsed } = contextNoted(this.original)
    if (parsed !== undefined) {
      this.push(JSON.stringify(parsed))
      this.push(null)
    } else if (body === null) {
      this.push(null)
    } else if (this.reader === undefined && (bodyUsed || body.locked)) {
      this.destroy(new Error('The body was read before.'))
    } else {
      this.reader ??= body.getReader()
      this.reader.read().then(
        ({ done, value }) => this.push(done ? null : value),
        (error: unknown) => this.destroy(error as Error),
      )
    }
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    // The rest of a body that is not read to its end is not asked for.
    this.reader?.cancel().catch(() => undefined)
    callback(error)
  }
}

/** A response, as far as the shared middleware hears of its end. */
class Outgoing extends EventEmitter {
  headersSent = false
  destroyed = false
  closed = false

  close(): void {
    if (this.closed) return
    this.closed = true
    this.destroyed = true
    this.emit('close')
  }
}

/** @throws OptionsError if somebody has read the body, and nobody has given it. */
export function checkBody(request: Request): void {
  if (!request.bodyUsed || hasBodyNoted(request)) return
  throw new OptionsError(
    "The request's body was read before. Give it: withContext(request, { body }), or hand over a " +
      'clone that was made before it was read.',
  )
}
