import type { Client, Driver, HandleOptions, StreamerOptions } from '../src/index.js'
import { memoryDriver, OptionsError, Streamer } from '../src/index.js'
import { admit } from '../src/handle.js'
import type { Exchange, StreamOptions } from './exchange.js'
import { assignedClient, expiryOf, ownerOf } from './exchange.js'

/** What makes a Streamer, where a middleware is not given one. */
export interface OwnStreamerOptions extends StreamerOptions {
  /** Default: a memory driver; `middleware.streamer.driver` publishes then. */
  driver?: Driver
}

/** The Streamer that a middleware was given, or one made from options. */
export function streamerFrom(given: Streamer | OwnStreamerOptions | undefined): Streamer {
  if (given instanceof Streamer || isStreamer(given)) return given
  if (given !== undefined && typeof given !== 'object') {
    throw new OptionsError('The middleware takes a Streamer, or the options to make one.')
  }
  const { driver = memoryDriver(), ...options } = given ?? {}
  return new Streamer(driver, options)
}

/** The client whose stream this request may have. @throws what `Streamer.handle` answers with */
export async function admitStream<Context, Principal>(
  streamer: Streamer,
  exchange: Exchange<Context>,
  options: StreamOptions<Context, Principal>,
): Promise<{ client: Client; terms: HandleOptions }> {
  const made = assignedClient(exchange.request)
  try {
    const terms: HandleOptions = {
      owner: ownerOf(exchange, options),
      id: made?.id,
      expires: expiryOf(exchange, options),
      address: exchange.address,
    }
    const admitted = admit(streamer, exchange.request, terms)
    const client = admitted instanceof Promise ? await admitted : admitted
    return { client, terms }
  } catch (error) {
    // It was made for this request alone.
    const client = made && streamer.getClient(made.id)
    if (client !== undefined) streamer.abandon(client)
    throw error
  }
}

/** A Streamer of the package's other module format (ESM beside CommonJS) is one as well. */
function isStreamer(given: unknown): given is Streamer {
  const { newCustomClient, attach } = Object(given) as Partial<Streamer>
  return typeof newCustomClient === 'function' && typeof attach === 'function'
}
