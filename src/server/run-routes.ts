import type { AnyRequest, AnyResponse } from '../index.js'
import {
  AuthenticationError,
  BodyError,
  ForbiddenTopicError,
  MediaTypeError,
  MethodError,
} from '../index.js'
import type { RunStatus } from '../runs/index.js'
import { NoRunError, RunRunningError } from '../runs/index.js'
import { answer, answerError, errorBody, jsonOf, NoRouteError, pathOf } from './answers.js'
import { keyOf } from './publish-route.js'
import type { HeldRun, RunDesk } from './run-desk.js'
import { appendAll, endedAs } from './run-desk.js'
import { ProducerError } from './run-errors.js'
import { partFrom, partReader } from './run-parts.js'
import { streamIn } from './run-stream.js'

/** Finds out who asks, and goes on where that is well. */
export type Identify = (request: AnyRequest, response: AnyResponse, then: () => void) => void

/** What the routes of runs work with. */
export interface RunRouteParts {
  readonly desk: RunDesk
  readonly identify: Identify
  /** The origins whose pages may read with cookies. */
  readonly origins: readonly string[]
  /** Whether the key of a request may produce runs of this name. */
  mayProduce(request: AnyRequest, name: string): boolean
  /** Whether some rule of `topics` matches a name. */
  isRuled(name: string): boolean
  allows(principal: unknown, name: string): boolean | Promise<boolean>
  failed(error: unknown): void
}

type Exchange = readonly [request: AnyRequest, response: AnyResponse, name: string]

/** How long a request for the signal is held, at most and by default, in milliseconds. */
const LONGEST_WAIT = 25_000

/** Whether a request is for a run. */
export function isRun(request: AnyRequest): boolean {
  return pathOf(request).startsWith('/runs/')
}

/** Answers what is asked of runs: `/runs/NAME`, and what is below. */
export function runRoutes(
  parts: RunRouteParts,
): (request: AnyRequest, response: AnyResponse) => void {
  const { desk, failed } = parts
  const read = readRoute(parts)
  const produced = (run: (...exchange: Exchange) => Promise<void>) => (exchange: Exchange) => {
    const [request, , name] = exchange
    checkProducer(parts, request, name)
    return run(...exchange)
  }
  const ways: Record<string, Record<string, (exchange: Exchange) => Promise<void> | void>> = {
    '': {
      GET: (exchange) => read(...exchange),
      HEAD: (exchange) => read(...exchange),
      POST: produced((...exchange) => start(desk, ...exchange)),
    },
    parts: { POST: produced((...exchange) => addParts(desk, ...exchange)) },
    end: { POST: produced((...exchange) => end(desk, ...exchange)) },
    signal: { GET: produced((...exchange) => signal(desk, ...exchange)) },
    stop: { POST: (exchange) => stop(parts, ...exchange) },
  }
  const handle = async (request: AnyRequest, response: AnyResponse): Promise<void> => {
    const [, , segment = '', below = '', more] = pathOf(request).split('/')
    const methods = more === undefined && Object.hasOwn(ways, below) ? ways[below]! : undefined
    if (methods === undefined || segment === '') throw new NoRouteError(RUN_ROUTES)
    const method = request.method ?? 'GET'
    const run = Object.hasOwn(methods, method) ? methods[method] : undefined
    if (run === undefined) throw new MethodError(method, Object.keys(methods))
    const name = decoded(segment)
    desk.checkName(name)
    await run([request, response, name])
  }
  return (request, response) => {
    handle(request, response).catch((error: unknown) => {
      failed(error)
      answerError(response, error)
    })
  }
}

const RUN_ROUTES = ['', '/parts', '/end', '/stop', '/signal'].map((below) => `/runs/NAME${below}`)

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch (error) {
    throw new BodyError('The name in the address is not encoded as addresses are.', {
      cause: error,
    })
  }
}

/** @throws AuthenticationError */
function checkProducer({ mayProduce }: RunRouteParts, request: AnyRequest, name: string): void {
  if (mayProduce(request, name)) return
  const isGiven = keyOf(request) !== undefined
  const why = isGiven
    ? 'This key is not known, or not for runs of this name.'
    : 'Producing a run takes a key: Authorization: Bearer KEY.'
  throw new AuthenticationError(why, isGiven)
}

/** `GET /runs/NAME`: the run, to who may read it. */
function readRoute({ desk, identify, origins, isRuled, allows }: RunRouteParts) {
  const stream = desk.runs.express(
    (request: AnyRequest & { runName?: string }) => request.runName,
    {
      ...(origins.length > 0 && { origins }),
    },
  )
  return (request: AnyRequest, response: AnyResponse, name: string): void => {
    const admit = async () => {
      // A rule for the name holds beside the run's owner.
      const isAllowed = !isRuled(name) || (await allows(principalOf(request), name))
      if (!isAllowed) throw new ForbiddenTopicError([name])
      stream(Object.assign(request, { runName: name }), response)
    }
    identify(request, response, () => {
      admit().catch((error: unknown) => answerError(response, error))
    })
  }
}

function principalOf(request: AnyRequest): unknown {
  return (request as AnyRequest & { auth?: unknown }).auth
}

/** `POST /runs/NAME`: starts a run. A body is the run itself. */
async function start(desk: RunDesk, ...[request, response, name]: Exchange): Promise<void> {
  const query = queryOf(request)
  const [owner, onRunning = 'refuse'] = [query.get('owner'), query.get('onRunning') ?? undefined]
  if (onRunning !== 'refuse' && onRunning !== 'attach')
    throw new BodyError('onRunning takes refuse or attach.')
  const hasBody =
    request.headers['transfer-encoding'] !== undefined ||
    Number(request.headers['content-length'] ?? 0) > 0
  const reader = hasBody
    ? partReader(request.headers['content-type'] ?? '', desk.maxBytes)
    : undefined
  if (hasBody && reader === undefined) throw new MediaTypeError()
  const held = await startOr409(desk, name, owner, onRunning, response)
  if (held === 'answered') return
  if (held === undefined) {
    const { id } = (await desk.runs.status(name)) as RunStatus
    answer(response, 200, { run: id, name, started: false })
    return
  }
  const said = { run: held.run.id, name, term: held.term, started: true }
  if (reader === undefined) answer(response, 201, said)
  else await streamIn(held, reader, said, request, response)
}

async function startOr409(
  desk: RunDesk,
  name: string,
  owner: string | null,
  onRunning: 'refuse' | 'attach',
  response: AnyResponse,
): Promise<HeldRun | 'answered' | undefined> {
  try {
    return await desk.start(name, { onRunning, ...(owner !== null && owner !== '' && { owner }) })
  } catch (error) {
    // A producer's key is for the name, whoever owns the run: it is told that one goes on.
    const isTaken = error instanceof RunRunningError || error instanceof NoRunError
    const status = isTaken ? await desk.runs.status(name) : undefined
    if (status === undefined || status.state === 'expired' || status.endedAt !== undefined)
      throw error
    const { id, owner: whose = null, state, parts, startedAt } = status
    const run = { run: id, name, owner: whose, state, parts, startedAt }
    answer(response, 409, { error: errorBody(new RunRunningError()), ...run })
    return 'answered'
  }
}

/** `POST /runs/NAME/parts`: `{"term", "parts": [...]}`, or lines with `?term=`. */
async function addParts(desk: RunDesk, ...[request, response, name]: Exchange): Promise<void> {
  const term = queryOf(request).get('term')
  if (term === null) {
    const body = await objectOf(request, desk.maxBytes, ['term', 'parts'])
    if (!Array.isArray(body.parts)) throw new BodyError('parts takes a list of parts.')
    const held = desk.heldBy(name, body.term)
    const sent = body.parts.map((part, index) => partFrom(part, `parts[${index}].`))
    answer(response, 200, { run: held.run.id, parts: await appendAll(held, sent) })
    return
  }
  const held = desk.heldBy(name, term)
  const reader = partReader(request.headers['content-type'] ?? '', desk.maxBytes)
  if (reader === undefined) throw new MediaTypeError()
  let number = 0
  for await (const chunk of request) {
    number = (await appendAll(held, reader.read(chunk as Buffer))) || number
  }
  number = (await appendAll(held, reader.end())) || number
  answer(response, 200, { run: held.run.id, parts: number })
}

/** `POST /runs/NAME/end`: `{"term", "data"}`, or `{"term", "error": {"code", "message"}}`. */
async function end(desk: RunDesk, ...[request, response, name]: Exchange): Promise<void> {
  const { term, data, error } = await objectOf(request, desk.maxBytes, ['term', 'data', 'error'])
  const held = desk.heldBy(name, term)
  if (error === undefined) held.finish(data)
  else held.fail(failureFrom(error))
  const end = endedAs(held, error === undefined ? 'done' : 'failed')
  answer(response, 200, { run: held.run.id, end })
}

function failureFrom(error: unknown): ProducerError {
  const { code, message } = Object(error) as { code?: unknown; message?: unknown }
  const isCode = typeof code === 'string' && /^[\w.:-]{1,100}$/.test(code)
  if (isCode && typeof message === 'string') return new ProducerError(code, message)
  throw new BodyError('error takes {"code": "name", "message": "for the readers"}.')
}

/** `POST /runs/NAME/stop`, by a key, or by the user who owns the run. */
function stop(parts: RunRouteParts, ...[request, response, name]: Exchange): Promise<void> | void {
  const { desk, identify, mayProduce } = parts
  const stopIt = async (owner?: string) => {
    const whose = owner === undefined ? {} : { owner }
    const { was } = await desk.runs.stop(name, whose)
    answer(response, was === 'none' ? 404 : 200, { was })
  }
  if (mayProduce(request, name)) return stopIt()
  identify(request, response, () => {
    const { sub } = Object(principalOf(request)) as { sub?: unknown }
    const run = async () => {
      const status = await desk.runs.status(name)
      // A run of nobody's is stopped by its producer's side only.
      if (sub === undefined || status?.owner === undefined) checkProducer(parts, request, name)
      await stopIt(String(sub))
    }
    run().catch((error: unknown) => answerError(response, error))
  })
}

/** `GET /runs/NAME/signal?term=`: waits until the run is to stop, and says why. 204: not yet. */
async function signal(desk: RunDesk, ...[request, response, name]: Exchange): Promise<void> {
  const query = queryOf(request)
  const { run } = desk.heldBy(name, query.get('term'))
  const wait = Math.min(Number(query.get('wait') ?? LONGEST_WAIT), LONGEST_WAIT)
  if (!(wait >= 0)) throw new BodyError('wait takes milliseconds, from 0.')
  if (!run.signal.aborted && wait > 0) await abortedWithin(run.signal, wait, response)
  if (run.signal.aborted) answer(response, 200, { signal: String(run.signal.reason) })
  else answer(response, 204)
}

function abortedWithin(signal: AbortSignal, wait: number, response: AnyResponse): Promise<void> {
  return new Promise((resolve) => {
    const over = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', over)
      response.off('close', over)
      resolve()
    }
    const timer = setTimeout(over, wait).unref()
    signal.addEventListener('abort', over)
    response.on('close', over)
  })
}

function queryOf({ url = '' }: AnyRequest): URLSearchParams {
  return new URLSearchParams(url.split('?').slice(1).join('?'))
}

async function objectOf(
  request: AnyRequest,
  maxBytes: number,
  known: readonly string[],
): Promise<Record<string, unknown>> {
  const body = await jsonOf(request, maxBytes)
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new BodyError('The body must be an object.')
  const strange = Object.keys(body).find((key) => !known.includes(key))
  if (strange === undefined) return body as Record<string, unknown>
  const name = JSON.stringify(strange.slice(0, 40))
  throw new BodyError(`${name} is no field here. There is ${known.join(', ')}.`)
}
