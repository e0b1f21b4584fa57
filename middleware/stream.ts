import type { AnyResponse, Client, Driver, StreamerOptions } from '../src/index.js'
import { memoryDriver, OptionsError, Streamer } from '../src/index.js'
import type { AdmitOptions } from '../src/for-middleware.js'
import { admit, checkOptions, doorOf } from '../src/for-middleware.js'
import { called, isName } from './callbacks.js'
import { checkNamed } from './clients.js'
import type { RequestContext, StreamOptions } from './request-context.js'
import {
  assignedClient,
  expiryOf,
  logInOf,
  ownerOf,
  principalOf,
  STREAM_OPTIONS,
} from './request-context.js'
import { isStreamer } from './streamer-argument.js'

/** The options of a Streamer that the middleware makes itself. */
export interface OwnStreamerOptions extends StreamerOptions {
  /** Default: a memory driver, which publishes by `middleware.streamer.driver`. */
  driver?: Driver
}

/** The given Streamer, or one made from the given options. */
export function streamerFrom(given: Streamer | OwnStreamerOptions | undefined): Streamer {
  if (isStreamer(given)) return given
  if (given !== undefined && (typeof given !== 'object' || given === null)) {
    throw new OptionsError('The middleware takes a Streamer, or the options to make one.')
  }
  const { driver = memoryDriver(), ...options } = given ?? {}
  return new Streamer(driver, options)
}

/** Checks the options of a middleware that streams. @throws OptionsError */
export function checkStreamOptions(caller: string, options: object): void {
  checkOptions(caller, options, STREAM_OPTIONS)
}

/** Claims the client that the request names. @throws the errors that `admit` throws */
export async function admitStream<Context, Principal>(
  streamer: Streamer,
  context: RequestContext<Context>,
  response: AnyResponse,
  options: StreamOptions<Context, Principal>,
): Promise<{ client: Client; terms: AdmitOptions }> {
  const made = assignedClient(context.request)
  try {
    const principal = principalOf(context, options)
    const id = made?.id ?? (await idOf(context, options))
    const terms: AdmitOptions = {
      owner: ownerOf(context, options),
      ...(id !== undefined && { id }),
      ...(made && { plan: made.plan }),
      ...(options.methods && { methods: options.methods }),
      visit: { principal, request: context.frameworkRequest, context },
      origins: options.origins,
      host: context.host,
      expires: expiryOf(context, options),
      ...logInOf(context, options),
      address: context.address,
    }
    const client = await admit(doorOf(streamer), context.request, response, terms)
    if (options.principal !== undefined && terms.owner !== undefined) checkNamed(client)
    return { client, terms }
  } catch (error) {
    // `autoClient` made this client for this request only.
    const client = made && streamer.getClient(made.id)
    if (client !== undefined) doorOf(streamer).abandon(client)
    throw error
  }
}

/** The id that the application names for the request, or undefined where the address does. */
async function idOf<Context, Principal>(
  { frameworkRequest }: RequestContext<Context>,
  { id: find }: StreamOptions<Context, Principal>,
): Promise<string | undefined> {
  if (find === undefined) return undefined
  return called('id', () => find(frameworkRequest), isName, "a string, the client's id")
}
