import type { AnyResponse, Streamer } from '../src/index.js'
import type { OptionTable } from '../src/for-middleware.js'
import {
  callback,
  checkOptions,
  count,
  doorOf,
  given,
  number,
  refuse,
  serve,
  shape,
} from '../src/for-middleware.js'
import type { AuthenticateOptions } from './authenticate.js'
import { AUTHENTICATE_OPTIONS, checkAuthenticateOptions, identify } from './authenticate.js'
import type { AutoClientOptions } from './auto-client.js'
import { assureClient, CLIENT_OPTIONS, prepareAutoClient } from './auto-client.js'
import { answerClients } from './clients.js'
import type { LabelOptions } from './labels.js'
import { LABEL_OPTIONS } from './labels.js'
import type { Answer, Authorize, RequestContext, StreamOptions } from './request-context.js'
import { STREAM_OPTIONS } from './request-context.js'
import { admitStream } from './stream.js'
import type { SnapshotOptions } from './snapshots.js'
import { SNAPSHOT_OPTIONS } from './snapshots.js'
import { isStreamer } from './streamer-argument.js'
import type { SubscriptionsOptions } from './subscriptions.js'
import { answerSubscriptions, prepareSubscriptions } from './subscriptions.js'
import type { WildcardOptions } from './wildcards.js'
import { WILDCARD_OPTIONS } from './wildcards.js'

/** Options of all routes that a plugin or a module mounts at once. */
export interface MountOptions<FrameworkRequest, Principal = unknown>
  extends
    StreamOptions<FrameworkRequest, Principal>,
    LabelOptions<FrameworkRequest, Principal>,
    SnapshotOptions<FrameworkRequest, Principal>,
    WildcardOptions {
  /** What the clients are made on. It is closed with the application. */
  streamer: Streamer
  /** Lets through only requests with a valid token. Default: whoever is there. */
  authenticate?: AuthenticateOptions<FrameworkRequest, Principal>
  /**
   * Whether the user may have a topic that a request names. Only `true` allows it. It is asked again
   * each time that the client opens a stream, and by `streamer.recheck`. Beside the Streamer's own
   * `authorize`, both must allow a topic. Default: what the Streamer's says, else no topic is allowed.
   */
  authorize?: Authorize<FrameworkRequest, Principal>
  /**
   * Makes a client for each request for a stream that names none: `true`, or options. Default:
   * false, so that such a request gets 400.
   */
  autoClient?:
    boolean | Pick<AutoClientOptions<FrameworkRequest, Principal>, 'topics' | 'id' | 'redirect'>
  /** The largest body that is read, in bytes. A larger one gets 413. Default: 65,536. */
  maxBodyBytes?: number
  /**
   * Where the routes are; false leaves one out. Default: `/events`, `/clients`, `/subscriptions`.
   */
  paths?: MountPaths
  /**
   * Over how many milliseconds the streams are ended when the application closes, so that not all
   * browsers reconnect at once. Default: 0, all at once. See `Streamer.drain`.
   */
  drainOver?: number
}

/** The paths of the routes. */
export interface MountPaths {
  events?: string | false
  clients?: string | false
  subscriptions?: string | false
}

const path = given([
  (value) => value === false || (typeof value === 'string' && value !== ''),
  'a path, such as "/events", or false for none',
])

/** The check of `paths`. */
export const PATHS_CHECK = shape({ events: path, clients: path, subscriptions: path })

const MOUNT_OPTIONS: OptionTable = {
  ...STREAM_OPTIONS,
  ...LABEL_OPTIONS,
  ...WILDCARD_OPTIONS,
  ...SNAPSHOT_OPTIONS,
  streamer: given([isStreamer, 'a Streamer']),
  authenticate: given(shape(AUTHENTICATE_OPTIONS)),
  authorize: given(callback('a function from a user and a topic to true or false')),
  autoClient: [
    (value) => typeof value === 'boolean' || (typeof value === 'object' && value !== null),
    'true, false, or an object of options',
  ],
  maxBodyBytes: count(0),
  paths: PATHS_CHECK,
  drainOver: number(0, Number.MAX_SAFE_INTEGER),
}

/** The routes of one Streamer, for a framework to mount. */
export class Mount<FrameworkRequest, Principal = unknown> {
  readonly streamer: Streamer
  private readonly auto: AutoClientOptions<FrameworkRequest, Principal> | undefined
  private readonly change: SubscriptionsOptions<FrameworkRequest, Principal>
  /** The names of the rules by which topics are allowed, and asked for again. */
  private readonly rules: { auto?: string | undefined; change: string | undefined }

  /**
   * @param more The checks of further options that the framework takes.
   * @throws OptionsError
   */
  constructor(
    caller: string,
    private readonly options: MountOptions<FrameworkRequest, Principal>,
    more: OptionTable = {},
  ) {
    const table = { ...MOUNT_OPTIONS, ...more }
    checkOptions(caller, options, table)
    const { streamer, authenticate, autoClient = false, maxBodyBytes } = options
    if (typeof autoClient === 'object') {
      checkOptions(caller, options, { ...table, autoClient: shape(CLIENT_OPTIONS) })
    }
    if (streamer === undefined) refuse(caller, 'streamer', streamer, 'a Streamer')
    this.streamer = streamer
    if (authenticate !== undefined) checkAuthenticateOptions(authenticate)
    const shared = pick(
      options,
      'principal',
      'owner',
      'session',
      'origins',
      'authorize',
      'wildcards',
      'snapshot',
    )
    this.change = { ...shared, ...(maxBodyBytes !== undefined && { maxBodyBytes }) }
    const change = prepareSubscriptions(streamer, this.change)
    const made = { ...shared, ...pick(options, 'labels', 'methods') }
    this.auto =
      autoClient === false ? undefined : { ...made, ...(autoClient !== true && autoClient) }
    this.rules = { change, auto: this.auto && prepareAutoClient(streamer, this.auto) }
  }

  get authenticates(): boolean {
    return this.options.authenticate !== undefined
  }

  /** The user, by the token of the request. @throws AuthenticationError, CallbackError */
  async identify(context: RequestContext<FrameworkRequest>): Promise<Principal | undefined> {
    const { authenticate } = this.options
    return authenticate === undefined ? undefined : identify(context, authenticate)
  }

  /**
   * Opens a stream.
   *
   * @param begin Prepares the response, which is then the stream's.
   * @returns an answer to send instead of a stream, or undefined.
   */
  async stream(
    context: RequestContext<FrameworkRequest>,
    response: AnyResponse,
    begin: () => void,
  ): Promise<Answer | undefined> {
    const { streamer, auto } = this
    if (auto !== undefined) {
      const location = await assureClient(streamer, context, auto, response, this.rules.auto)
      if (location !== undefined) return { status: 307, headers: { Location: location } }
    }
    const { client, terms } = await admitStream(streamer, context, response, this.options)
    begin()
    serve(doorOf(streamer), client, context.request, response, terms)
    return undefined
  }

  clients(context: RequestContext<FrameworkRequest>): Promise<Answer> {
    return answerClients(this.streamer, context, this.options)
  }

  subscriptions(context: RequestContext<FrameworkRequest>): Promise<Answer> {
    return answerSubscriptions(this.streamer, context, this.change, this.rules.change)
  }

  /** Ends all streams and closes the Streamer. */
  async close(): Promise<void> {
    await this.streamer.drain({ over: this.options.drainOver ?? 0 })
  }
}

/** Those of an object's properties that it has. */
function pick<T extends object, K extends keyof T>(from: T, ...keys: K[]): Pick<T, K> {
  return Object.fromEntries(
    keys.filter((key) => Object.hasOwn(from, key)).map((key) => [key, from[key]]),
  ) as Pick<T, K>
}

/** Where the routes are: false for one that is left out. */
export function pathsOf(paths: MountPaths = {}): Required<MountPaths> {
  return {
    events: paths.events ?? '/events',
    clients: paths.clients ?? '/clients',
    subscriptions: paths.subscriptions ?? '/subscriptions',
  }
}
