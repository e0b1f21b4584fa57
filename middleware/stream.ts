import type { Client, Driver, HandleOptions, StreamerOptions } from '../src/index.js'
import { memoryDriver, OptionsError, Streamer } from '../src/index.js'
import { admit, doorOf, hasDoor } from '../src/for-middleware.js'
import type { RequestContext, StreamOptions } from './request-context.js'
import { assignedClient, expiryOf, ownerOf } from './request-context.js'

/** What makes a Streamer, where a middleware is not given one. */
export interface OwnStreamerOptions extends StreamerOptions {
  /** Default: a memory driver; `middleware.streamer.driver` publishes then. */
  driver?: Driver
}

/** The Streamer that a middleware was given, or one made from options. */
export function streamerFrom(given: Streamer | OwnStreamerOptions | undefined): Streamer {
  if (isStreamer(given)) return given
  if (given !== undefined && typeof given !== 'object') {
    throw new OptionsError('The middleware takes a Streamer, or the options to make one.')
  }
  const { driver = memoryDriver(), ...options } = given ?? {}
  return new Streamer(driver, options)
}

/** The client whose stream this request may have. @throws what `Streamer.handle` answers with */
export async function admitStream<Context, Principal>(
  streamer: Streamer,
  context: RequestContext<Context>,
  options: StreamOptions<Context, Principal>,
): Promise<{ client: Client; terms: HandleOptions }> {
  const made = assignedClient(context.request)
  try {
    const terms: HandleOptions = {
      owner: ownerOf(context, options),
      id: made?.id,
      expires: expiryOf(context, options),
      address: context.address,
    }
    const client = await admit(doorOf(streamer), context.request, terms)
    return { client, terms }
  } catch (error) {
    // It was made for this request alone.
    const client = made && streamer.getClient(made.id)
    if (client !== undefined) doorOf(streamer).abandon(client)
    throw error
  }
}

/** A Streamer of the package's other module format (ESM beside CommonJS) is one as well. */
function isStreamer(given: unknown): given is Streamer {
  return hasDoor(given)
}
