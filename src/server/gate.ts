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
import type { Idempotency } from './idempotency.js'
import type { Claims } from './pattern.js'
import { publishRoute } from './publish-route.js'
import type { PublishSettings } from './publish-route.js'
import { publishKeys } from './publishing.js'
import type { MayPublish } from './publishing.js'
import type { MaySubscribe } from './rules.js'
import { subscribeRules } from './rules.js'
import type { Verify } from './tokens.js'
import { tokenVerifier } from './tokens.js'

/** What is decided by a configuration, and changes with it while streams are open. */
export interface Terms {
  readonly maySubscribe: MaySubscribe
  readonly verify: Verify
}

/** What `termsFrom` needs beside the configuration. */
export interface Publishers {
  /** What requests without a key may publish, for a server that was started without a file. */
  readonly withoutKey?: (request: AnyRequest) => MayPublish | undefined
}

export function termsFrom({ config, folder }: Loaded): Terms {
  return {
    maySubscribe: subscribeRules(config.topics),
    verify: tokenVerifier(config.auth, folder),
  }
}

/** Answers the requests on the port for browsers. */
export type Gate = (request: AnyRequest, response: AnyResponse) => void

type Route = (request: AnyRequest, response: AnyResponse) => void

/** Makes the routes of one configuration, on a Streamer that may have had others before. */
export function gateFor(
  streamer: Streamer,
  loaded: Loaded,
  terms: Terms,
  idempotency: Idempotency,
  failed: (error: unknown) => void,
  { withoutKey }: Publishers = {},
): Gate {
  const { config } = loaded
  const cors = config.cors && corsFor(config.cors.origins)
  const named = config.cors?.origins.filter((origin) => origin !== '*') ?? []
  const settings = named.length > 0 ? { origins: named } : {}
  const identify = identifier(config.auth, config.topics, terms.verify)

  const auto = autoClient(streamer, settings)
  const stream = unifrostExpress(streamer, settings)
  const make = clients(streamer, settings)
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
  const publishing = publishSettings(config, withoutKey)
  if (publishing !== undefined) {
    routes.set('/publish', (request, response) => {
      publishRoute(streamer, request, response, publishing, idempotency).catch((error: unknown) => {
        failed(error)
        answerError(response, error)
      })
    })
  }

  return (request, response) => {
    setAddress(request, config.listen.trustProxy)
    if (cors?.(request, response) === true) return
    const route = routes.get(pathOf(request))
    if (route === undefined) answerError(response, new NoRouteError([...routes.keys()]))
    else route(request, response)
  }
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

type Identify = (request: AnyRequest, response: AnyResponse, then: () => void) => void

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

/** The claims of a principal, as the Streamer hands it to `authorize`. */
export function claimsOf(principal: unknown): Claims | undefined {
  return typeof principal === 'object' && principal !== null ? (principal as Claims) : undefined
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
