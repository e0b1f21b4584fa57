import type { AnyRequest, AnyResponse, Streamer } from '../index.js'
import { AuthenticationError } from '../index.js'
import type { TokenSource } from '../../middleware/express.js'
import {
  authenticate,
  autoClient,
  clients,
  subscriptions,
  unifrostExpress,
} from '../../middleware/express.js'
import { answerError, NoRouteError, pathOf } from './answers.js'
import type { Loaded } from './config/load.js'
import { corsFor } from './cors.js'
import { controlRoute, recheck, revoke, subscribeWhich } from './control-routes.js'
import type { ControlRoute } from './control-routes.js'
import type { Idempotency } from './idempotency.js'
import type { RunDesk } from './run-desk.js'
import { isRun, runRoutes } from './run-routes.js'
import type { Identify } from './run-routes.js'
import { isRuled } from './rules.js'
import { keyOf, publishRoute } from './publish-route.js'
import type { PublishSettings } from './publish-route.js'
import { keyChecker, publishKeys } from './publishing.js'
import type { MayPublish } from './publishing.js'
import type { Verify } from './tokens.js'

/** What requests without a key may do. */
export interface Publishers {
  /** What requests without a key may publish, for a server that was started without a file. */
  readonly withoutKey?: (request: AnyRequest) => MayPublish | undefined
}

/** What the routes are made of. */
export interface GateParts {
  readonly streamer: Streamer
  readonly loaded: Loaded
  readonly verify: Verify
  readonly idempotency: Idempotency
  readonly publishers: Publishers
  /** The runs of the server, if it has some. */
  readonly desk: RunDesk | undefined
  /** Whether the rules allow a principal a topic. */
  allows(principal: unknown, topic: string): boolean | Promise<boolean>
  /** Whether the rules allow an owner a topic. */
  allowsOwner(owner: string | undefined, topic: string): boolean
  /** Told of what a request failed with. */
  failed(error: unknown): void
}

/** Answers the requests on the port for browsers. */
export type Gate = (request: AnyRequest, response: AnyResponse) => void

type Route = (request: AnyRequest, response: AnyResponse) => void

/** Makes the routes of one configuration, on a Streamer that may have had others before. */
export function gateFor(parts: GateParts): Gate {
  const { streamer, loaded, verify, idempotency, publishers, failed, allowsOwner } = parts
  const { config } = loaded
  const cors = config.cors && corsFor(config.cors.origins)
  const named = config.cors?.origins.filter((origin) => origin !== '*') ?? []
  const settings = named.length > 0 ? { origins: named } : {}
  const identify = identifier(config.auth, config.topics, verify)

  const marked = { ...settings, ...labelsBy(config.auth?.labels) }
  const auto = autoClient(streamer, marked)
  const stream = unifrostExpress(streamer, settings)
  const make = clients(streamer, marked)
  const change = subscriptions(streamer, settings)
  /** Of the middlewares each answers its own errors, as a listener of node:http. */
  const asUser = (then: Route): Route => {
    return (request, response) => identify(request, response, () => then(request, response))
  }
  const routes = new Map<string, Route>([
    [
      '/events',
      asUser((request, response) => {
        const next = (error?: unknown) =>
          error === undefined ? stream(request, response) : answerError(response, error)
        auto(request, response, next)
      }),
    ],
    ['/clients', asUser((request, response) => make(request, response))],
    ['/subscriptions', asUser((request, response) => change(request, response))],
  ])
  const publishing = publishSettings(config, publishers.withoutKey)
  const keyed = (run: (request: AnyRequest, response: AnyResponse) => Promise<void>): Route => {
    return (request, response) => {
      run(request, response).catch((error: unknown) => {
        failed(error)
        answerError(response, error)
      })
    }
  }
  if (publishing !== undefined) {
    routes.set(
      '/publish',
      keyed((request, response) =>
        publishRoute(streamer, request, response, publishing, idempotency),
      ),
    )
  }
  const isControl = controlKeys(config)
  const control = (route: ControlRoute) =>
    keyed((request, response) => controlRoute(route, streamer, request, response, allowsOwner))
  if (isControl !== undefined) {
    for (const [path, route] of [['/revoke', revoke] as const, ['/recheck', recheck] as const]) {
      const run = control(route)
      routes.set(path, (request, response) => {
        if (isControl(request)) run(request, response)
        else answerError(response, noControlKey(request))
      })
    }
    // A browser's request has its user's token, and an application's server has its key.
    const ofUsers = routes.get('/subscriptions')!
    const ofOwner = control(subscribeWhich)
    routes.set('/subscriptions', (request, response) =>
      (isControl(request) ? ofOwner : ofUsers)(request, response),
    )
  }

  const ofRuns =
    parts.desk &&
    runRoutes({
      ...{ desk: parts.desk, origins: named, identify, failed },
      isRuled: isRuled(config.topics),
      allows: parts.allows,
      mayProduce: (request, name) =>
        isControl?.(request) === true ||
        publishing?.keyed(keyOf(request) ?? '', request)?.(name) === true,
    })

  return (request, response) => {
    setAddress(request, config.listen.trustProxy)
    if (cors?.(request, response) === true) return
    if (ofRuns !== undefined && isRun(request)) {
      ofRuns(request, response)
      return
    }
    if (ofRuns !== undefined) endSlowBody(request)
    const route = routes.get(pathOf(request))
    if (route === undefined)
      answerError(response, new NoRouteError([...routes.keys(), ...(ofRuns ? ['/runs/NAME'] : [])]))
    else route(request, response)
  }
}

/** How long a body may take, in milliseconds: what Node takes by default. */
const BODY_TIME = 300_000

/** A server with runs takes bodies that last, so it has no limit of Node's for the others. */
function endSlowBody(request: AnyRequest): void {
  if (request.method === 'GET' || request.method === 'HEAD') return
  const timer = setTimeout(() => {
    if (!request.complete) request.destroy()
  }, BODY_TIME).unref()
  request.once('close', () => clearTimeout(timer))
}

function publishSettings(
  { publish }: Loaded['config'],
  withoutKey: Publishers['withoutKey'],
): PublishSettings | undefined {
  if (publish !== undefined) {
    const keyed = publishKeys(publish)
    const { maxBodyBytes, maxMessages, idempotency: remember } = publish
    return { keyed, maxBodyBytes, maxMessages, remember }
  }
  if (withoutKey === undefined) return undefined
  const keyed = (_key: string, request: AnyRequest) => withoutKey(request)
  return { keyed, maxBodyBytes: 1_000_000, maxMessages: 1_000, remember: 600_000 }
}

/** What new clients are marked with: the claims of these names that are texts or numbers. */
function labelsBy(names: readonly string[] | undefined) {
  if (names === undefined) return {}
  const labels = (principal: unknown) => {
    const claims = Object(principal) as Record<string, unknown>
    const fits = (value: unknown) => /^(string|number)$/.test(typeof value) && value !== ''
    const given = names.filter((name) => Object.hasOwn(claims, name) && fits(claims[name]))
    return Object.fromEntries(given.map((name) => [name, String(claims[name])]))
  }
  return { labels }
}

/** Finds out who asks. Without a token, a request is anonymous, where some topic is for anyone. */
function identifier(
  auth: Loaded['config']['auth'],
  topics: Loaded['config']['topics'],
  verify: Verify,
): Identify {
  if (auth === undefined) return (_request, _response, then) => then()
  const from: TokenSource<AnyRequest>[] = ['authorization']
  if (auth.cookie !== undefined) from.push({ cookie: auth.cookie })
  if (auth.query !== undefined) from.push({ query: auth.query })
  const ask = authenticate({ verify: (token: string) => verify(token), from: from as never })
  const takesAnyone = topics.some(({ subscribe }) => subscribe === 'anyone')
  return (request, response, then) => {
    ask(request, response, (error?: unknown) => {
      if (error === undefined || (takesAnyone && hasNoToken(error))) then()
      else answerError(response, error)
    })
  }
}

function hasNoToken(error: unknown): boolean {
  return error instanceof AuthenticationError && error.headers['WWW-Authenticate'] === 'Bearer'
}

/** Whether a request has a key of the application's own server. Undefined where there are none. */
function controlKeys({
  control,
  publish,
}: Loaded['config']): ((request: AnyRequest) => boolean) | undefined {
  const unbound = publish?.keys.filter(({ topics }) => topics === undefined).map(({ key }) => key)
  const keys = control?.keys ?? unbound ?? []
  if (keys.length === 0) return undefined
  const isKnown = keyChecker(keys)
  return (request) => isKnown(keyOf(request) ?? '')
}

function noControlKey(request: AnyRequest): AuthenticationError {
  const isGiven = keyOf(request) !== undefined
  const why = isGiven ? 'This key is not known.' : 'This takes a key: Authorization: Bearer KEY.'
  return new AuthenticationError(why, isGiven)
}

/** Behind proxies, the address of a client is the one that the outermost of them names. */
function setAddress(request: AnyRequest, proxies: number): void {
  if (proxies === 0) return
  const header = request.headers['x-forwarded-for']
  const named = (Array.isArray(header) ? header.join(',') : (header ?? '')).split(',')
  const address = named.at(-proxies)?.trim()
  // The middleware reads what Express sets.
  if (address) (request as AnyRequest & { ip?: string }).ip = address
}
