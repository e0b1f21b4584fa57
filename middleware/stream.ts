import type { Client, Driver, StreamerOptions } from '../src/index.js'
import { memoryDriver, OptionsError, Streamer } from '../src/index.js'
import type { AdmitOptions } from '../src/for-middleware.js'
import { admit, doorOf, hasDoor } from '../src/for-middleware.js'
import type { RequestContext, StreamOptions } from './request-context.js'
import { assignedClient, expiryOf, ownerOf, principalOf } from './request-context.js'

/** The options of a Streamer that the middleware makes itself. */
export interface OwnStreamerOptions extends StreamerOptions {
  /** Default: a memory driver, which publishes by `middleware.streamer.driver`. */
  driver?: Driver
}

/** The given Streamer, or one made from the given options. */
export function streamerFrom(given: Streamer | OwnStreamerOptions | undefined): Streamer {
  if (isStreamer(given)) return given
  if (given !== undefined && typeof given !== 'object') {
    throw new OptionsError('The middleware takes a Streamer, or the options to make one.')
  }
  const { driver = memoryDriver(), ...options } = given ?? {}
  return new Streamer(driver, options)
}

/** Claims the client that the request names. @throws the errors that `admit` throws */
export async function admitStream<Context, Principal>(
  streamer: Streamer,
  context: RequestContext<Context>,
  options: StreamOptions<Context, Principal>,
): Promise<{ client: Client; terms: AdmitOptions }> {
  const made = assignedClient(context.request)
  try {
    const principal = principalOf(context, options)
    const terms: AdmitOptions = {
      owner: ownerOf(context, options),
      ...(made && { id: made.id, plan: made.plan }),
      visit: { principal, request: context.frameworkRequest, context },
      expires: expiryOf(context, options),
      address: context.address,
    }
    const client = await admit(doorOf(streamer), context.request, terms)
    return { client, terms }
  } catch (error) {
    // `autoClient` made this client for this request only.
    const client = made && streamer.getClient(made.id)
    if (client !== undefined) doorOf(streamer).abandon(client)
    throw error
  }
}

/** True also for a Streamer of the package's other module format (ESM beside CommonJS). */
function isStreamer(given: unknown): given is Streamer {
  return hasDoor(given)
}
