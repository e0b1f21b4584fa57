import { answerInJson } from '../../middleware/koa-errors.js'
import { fail } from '../../middleware/express-errors.js'
import { contextNoted } from '../../middleware/fetch-exchange.js'
import { isExposed } from '../errors.js'
import type { Companion, Door } from '../http/door.js'
import { doorOf } from '../http/door.js'
import { publicError, sendError } from '../http/error-response.js'
import type { AnyRequest } from '../http/request.js'
import { isEventSource, passingRefusal, sendPassingRefusal } from '../http/passing-refusal.js'
import { lastEventIdOf } from '../http/request.js'
import type { AnyResponse } from '../http/response-outlet.js'
import { ResponseOutlet } from '../http/response-outlet.js'
import { takeSeat } from '../http/seats.js'
import { noteSession } from '../http/sessions.js'
import { beginStream, checkPair } from '../http/stream.js'
import { STREAM_HEADERS } from '../http/stream-headers.js'
import { WebOutlet } from '../http/web-outlet.js'
import { refuse } from '../option-checks.js'
import { ownerNameOf } from '../service/owner.js'
import type { Streamer } from '../streamer.js'
import { NoRunError } from './errors.js'
import type { Folding } from './folding.js'
import { foldingBy } from './folding.js'
import type { RunFormat } from './format.js'
import { formatNamed, parsePlace } from './format.js'
import type { FormatName, ForOwner, RouteOptions, RunsOptions } from './options.js'
import { checkForOwner, checkReadOptions, checkRouteOptions } from './options.js'
import { Producer } from './producer.js'
import type { Started } from './producer.js'
import { RunReader } from './reader.js'
import type { ReadEnd, ReadPart } from './reading.js'
import { FeedReading, readEnd } from './reading.js'
import type { Admitted, Visitor } from './serve.js'
import { admitReader, from, principalOf } from './serve.js'
import type { GoneRecord, RunRecord, RunStore } from './store.js'

/** What is known of a run. */
export interface RunStatus {
  readonly id: string
  readonly name: string
  readonly owner: string | undefined
  readonly state: 'running' | 'waiting' | 'stopping' | 'paused' | 'done' | 'failed' | 'stopped'
  /** How many parts it has. */
  readonly parts: number
  /** How many bytes its parts have. */
  readonly bytes: number
  /** How many readers it has, on all servers. */
  readonly readers: number
  readonly startedAt: Date
  readonly endedAt: Date | undefined
  readonly end: ReadEnd | undefined
}

/** What is left of a run that is no longer kept. */
export interface ExpiredStatus {
  readonly name: string
  readonly owner: string | undefined
  readonly state: 'expired'
}

/** Options of `read`. */
export interface ReadOptions extends ForOwner {
  /** `start`, or the place of the last part that the reader has (`id`). Default: `start`. */
  from?: string
  /** Ends the reading with the signal's reason. */
  signal?: AbortSignal
}

/** The parts of a run, for `for await`. Its return value, and afterwards `end`, is how it ended. */
export interface Reading extends AsyncIterable<ReadPart> {
  [Symbol.asyncIterator](): AsyncGenerator<ReadPart, ReadEnd | undefined>
  /** How the run has ended, once all parts are read. Undefined before. */
  readonly end: ReadEnd | undefined
}

/** What is used of a Koa context. Koa's own types need not be installed. */
export interface KoaContext {
  readonly req: AnyRequest
  readonly res: AnyResponse
  readonly state: object
  readonly host: string
  respond?: boolean | undefined
}

/** A request as Express and other routers pass it on. */
export type RoutedRequest = AnyRequest & { readonly params: Readonly<Record<string, string>> }

/** A context as Koa's router passes it on. */
export type RoutedContext = KoaContext & {
  readonly path: string
  readonly params: Readonly<Record<string, string>>
}

type Next = (error?: unknown) => void

/** A middleware of Express, connect, or a listener of `node:http`. */
export type RunHandler = (request: AnyRequest, response: AnyResponse, next?: Next) => void

/** Streams with a beginning and an end, which belong to nobody's connection. See `runs`. */
export class Runs extends Producer implements Companion {
  private readonly door: Door
  private readonly folding: Folding | undefined
  private readonly format: FormatName
  private readonly slowReaderTimeout: number

  constructor(
    private readonly streamer: Streamer,
    store: RunStore,
    options: RunsOptions,
  ) {
    super(store, options)
    this.door = doorOf(streamer)
    this.folding = options.fold && foldingBy(options.fold)
    this.format = options.format ?? 'default'
    this.slowReaderTimeout = options.slowReaderTimeout ?? 30_000
    this.door.companions.add(this)
  }

  /**
   * A middleware of Express: streams the run that a request names, to who may read it.
   *
   * @param nameOf From a request to the run's name. Without a name the answer is 404.
   */
  express<Request extends AnyRequest = RoutedRequest>(
    nameOf: (request: Request) => unknown,
    options: RouteOptions<Request> = {},
  ): RunHandler {
    checkRoute('express', nameOf, options)
    return (request, response, next) => {
      checkPair('The middleware', request, response)
      const { auth, user } = request as { auth?: unknown; user?: unknown }
      const found = auth ?? user
      this.answer(nameOf, options as RouteOptions, request, request, response, found).catch(
        (error: unknown) => {
          if (sendPassingRefusal(this.door, request, response, error, true)) return
          fail(error, request, response, next, this.streamer)
        },
      )
    }
  }

  /** A middleware of Koa: see `express`. The user is `ctx.state.user`. */
  koa<Context extends KoaContext = RoutedContext>(
    nameOf: (ctx: Context) => unknown,
    options: RouteOptions<Context> = {},
  ): (ctx: Context) => Promise<void> {
    checkRoute('koa', nameOf, options)
    return async (ctx) => {
      const { user } = ctx.state as { user?: unknown }
      // From here on the response is Node's. What other middleware has set stands on it already.
      try {
        await this.answer(nameOf, options as RouteOptions, ctx, ctx.req, ctx.res, user, ctx.host)
        ctx.respond = false
      } catch (error) {
        if (sendPassingRefusal(this.door, ctx.req, ctx.res, error, true)) {
          ctx.respond = false
          return
        }
        answerInJson(ctx as never, error)
        throw error
      }
    }
  }

  /** A handler of fetch's requests: see `express`. The user is that of `withContext`. */
  fetch(
    nameOf: (request: Request) => unknown,
    options: RouteOptions<Request> = {},
  ): (request: Request) => Promise<Response> {
    checkRoute('fetch', nameOf, options)
    return async (request) => {
      const { user, address, host } = contextNoted(request)
      const route = options as RouteOptions
      try {
        const principal = principalOf(route, request, user)
        const visitor = {
          request: asNodes(request),
          frameworkRequest: request,
          name: nameOf(request),
          principal,
          host,
        }
        const admitted = await this.admit(visitor, route)
        return this.body(admitted, request, this.formatOf(route), ownerNameOf(principal), address)
      } catch (error) {
        return this.refusal(error, request)
      }
    }
  }

  /**
   * Answers a request with the run that it has started: the response is one reader among others, from
   * the beginning on.
   *
   * @param run What `start` or `resume` has answered.
   */
  async send(
    run: Pick<Started, 'id'>,
    request: AnyRequest,
    response: AnyResponse,
    options: Pick<RouteOptions, 'format'> = {},
  ): Promise<void> {
    checkPair('send', request, response)
    checkRouteOptions('send', options)
    try {
      const record = await this.store.get(run.id)
      const place = parsePlace(lastEventIdOf(request) ?? '')
      const admitted = await from(this.store, record, place?.run === run.id ? place.number : 0)
      this.stream(admitted, request, response, this.formatOf(options), record?.owner)
    } catch (error) {
      if (sendPassingRefusal(this.door, request, response, error, true)) return
      if (!isExposed(error)) this.door.failed(error)
      sendError(response, error)
    }
  }

  /** The response to a fetch `Request`: see `send`. */
  async response(
    run: Pick<Started, 'id'>,
    request: Request,
    options: Pick<RouteOptions, 'format'> = {},
  ): Promise<Response> {
    checkRouteOptions('response', options)
    try {
      const record = await this.store.get(run.id)
      const admitted = await from(this.store, record, 0)
      return this.body(admitted, request, this.formatOf(options), record?.owner, undefined)
    } catch (error) {
      return this.refusal(error, request)
    }
  }

  /**
   * Reads a run in this process: all its parts in order, then those that come, until its end.
   *
   * @throws NoRunError, RunExpiredError when it is iterated.
   */
  read(name: string, options: ReadOptions = {}): Reading {
    checkReadOptions(options)
    const { from: begin = 'start', signal, ...rest } = options
    const state: { end: ReadEnd | undefined } = { end: undefined }
    const read = async function* (this: Runs): AsyncGenerator<ReadPart, ReadEnd | undefined> {
      const found = await this.current(name, rest, 'read')
      const place = begin === 'start' ? undefined : parsePlace(begin)
      const isOlder = place !== undefined && found?.state !== 'expired' && found?.id !== place.run
      const run = isOlder ? await this.store.get(place.run) : found
      if (begin !== 'start' && place === undefined) {
        refuse('read', 'from', begin, "'start', or the id of a part")
      }
      if (found === undefined) throw new NoRunError()
      const admitted = await from(this.store, run, place?.number ?? 0)
      if (admitted === 'nothing') {
        const ended = run as RunRecord
        return (state.end = ended.end && readEnd(ended.end))
      }
      const reading = new FeedReading(admitted.feed, admitted.through, signal)
      return (state.end = yield* reading.read())
    }.bind(this)
    return {
      [Symbol.asyncIterator]: read,
      get end() {
        return state.end
      },
    }
  }

  /**
   * What is known of the newest run of this name, or undefined: there is none, or it is of another
   * owner than is given.
   */
  async status(
    name: string,
    options: ForOwner = {},
  ): Promise<RunStatus | ExpiredStatus | undefined> {
    const run = await this.current(name, options, 'status')
    return run === undefined ? undefined : this.statusOf(run, name)
  }

  /** The runs of an owner that go on or are still kept, the newest last. */
  async list(owner: NonNullable<ForOwner['owner']>): Promise<RunStatus[]> {
    checkForOwner('list', { owner })
    const { prefix } = this.settings
    const runs = await this.store.list(prefix, ownerNameOf(owner)!)
    return [...runs]
      .sort((a, b) => a.startedAt - b.startedAt)
      .map((run) => this.statusOf(run, run.key.slice(prefix.length)) as RunStatus)
  }

  override async close(): Promise<void> {
    this.door.companions.delete(this)
    await super.close()
  }

  protected override unheard(error: Error): void {
    this.door.failed(error)
  }

  private statusOf(run: RunRecord | GoneRecord, name: string): RunStatus | ExpiredStatus {
    if (run.state === 'expired') return { name, owner: run.owner, state: 'expired' }
    const { id, owner, state, parts, bytes, readers, startedAt, endedAt, end } = run
    return {
      id,
      name,
      owner,
      state: end === undefined ? (state as RunStatus['state']) : end.kind,
      parts,
      bytes,
      readers,
      startedAt: new Date(startedAt),
      endedAt: endedAt === undefined ? undefined : new Date(endedAt),
      end: end && readEnd(end),
    }
  }

  private formatOf({ format = this.format }: Pick<RouteOptions, 'format'>): RunFormat {
    return formatNamed(format)
  }

  private admit(visitor: Visitor, options: RouteOptions): Promise<Admitted> {
    const { store, settings } = this
    const format = this.formatOf(options)
    return admitReader({ store, prefix: settings.prefix, format, options }, visitor)
  }

  /** Answers a request for a run with Node's response. */
  private async answer(
    nameOf: (request: never) => unknown,
    options: RouteOptions,
    frameworkRequest: unknown,
    request: AnyRequest,
    response: AnyResponse,
    found: unknown,
    host?: string,
  ): Promise<void> {
    const principal = principalOf(options, frameworkRequest, found)
    const name = nameOf(frameworkRequest as never)
    const visitor = { request, frameworkRequest, name, principal, host }
    const admitted = await this.admit(visitor, options)
    this.stream(admitted, request, response, this.formatOf(options), ownerNameOf(principal))
  }

  private stream(
    admitted: Admitted,
    request: AnyRequest,
    response: AnyResponse,
    format: RunFormat,
    owner: string | undefined,
  ): void {
    // The reader has left by now, which is nothing to the run.
    if (response.headersSent || response.destroyed || request.socket.destroyed) return
    if (admitted === 'nothing') {
      response.statusCode = 204
      response.setHeader('Cache-Control', 'no-store')
      response.end()
      return
    }
    takeSeat(this.door, { request, response, owner, address: request.socket.remoteAddress })
    response.statusCode = 200
    for (const [name, value] of Object.entries({ ...STREAM_HEADERS, ...format.headers })) {
      response.setHeader(name, value)
    }
    if (request.method === 'HEAD') {
      response.end()
      return
    }
    beginStream(request, response)
    noteSession(this.door, response)
    this.open(admitted, request, new ResponseOutlet(response), format)
  }

  private body(
    admitted: Admitted,
    request: Request,
    format: RunFormat,
    owner: string | undefined,
    address: string | undefined,
  ): Response {
    if (admitted === 'nothing') {
      return new Response(null, { status: 204, headers: { 'Cache-Control': 'no-store' } })
    }
    const headers = { ...STREAM_HEADERS, ...format.headers }
    if (request.method === 'HEAD') return new Response(null, { headers })
    const seat = this.door.takeSeat(undefined, owner, address)
    const leave = () => outlet.leave()
    const outlet = new WebOutlet(() => {
      request.signal.removeEventListener('abort', leave)
      seat.leave()
    })
    request.signal.addEventListener('abort', leave, { once: true })
    this.open(admitted, asNodes(request), outlet, format)
    if (request.signal.aborted) leave()
    return new Response(outlet.body, { headers })
  }

  private open(
    { feed, through }: Exclude<Admitted, 'nothing'>,
    request: AnyRequest,
    outlet: ResponseOutlet | WebOutlet,
    format: RunFormat,
  ): void {
    const { timers, folding, slowReaderTimeout } = this
    const gone = () => undefined
    const resumes = isEventSource(request) ? lastEventIdOf(request) : undefined
    const host = { timers, format, folding, slowReaderTimeout, gone }
    new RunReader(feed, through, outlet, host, resumes)
  }

  private refusal(error: unknown, request: Request): Response {
    const passing = passingRefusal(this.door, asNodes(request), error, true)
    if (passing !== undefined) {
      return new Response(new Uint8Array(passing.body), { headers: passing.headers })
    }
    if (!isExposed(error)) this.door.failed(error)
    const { status, headers, body } = publicError(error)
    return Response.json(body, { status, headers: { 'Cache-Control': 'no-store', ...headers } })
  }
}

function checkRoute(caller: string, nameOf: unknown, options: unknown): void {
  if (typeof nameOf !== 'function') {
    refuse(caller, 'its first argument', nameOf, "a function from a request to a run's name")
  }
  checkRouteOptions(caller, options)
}

/** A fetch request, as far as its checks read one of Node's. */
function asNodes(request: Request): AnyRequest {
  const { pathname, search, host } = new URL(request.url)
  return {
    method: request.method,
    url: pathname + search,
    headers: { host, ...Object.fromEntries(request.headers) },
  } as unknown as AnyRequest
}
