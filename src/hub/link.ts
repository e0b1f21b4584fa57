import { Link } from '../driver-kit/index.js'
import type { ConnectAttempt } from '../driver-kit/index.js'
import { HubConnection } from './connection.js'
import type { HubEvents } from './connection.js'

/** How often a hub is asked whether it still lives, in milliseconds. */
const ASK_EVERY = 1_000

/** How long a worker waits for its hub. In milliseconds. */
export interface HubWaits {
  /** How long connecting may take. */
  connectTimeout: number
  /** How long the hub may be silent before the connection is given up and made anew. */
  silence: number
}

/**
 * The link of one worker to its hub. It comes back by itself.
 *
 * @param greet Says what the connection is for, before anything else.
 */
export function hubLink(
  address: string,
  { connectTimeout, silence }: HubWaits,
  eventsOf: (connection: () => HubConnection) => HubEvents,
  greet: (connection: HubConnection) => Promise<unknown>,
): Link<HubConnection> {
  return new Link<HubConnection>({
    broker: 'The hub',
    where: address,
    connectTimeout,
    async connect({ signal }: ConnectAttempt) {
      const holder: { connection?: HubConnection } = {}
      const events = eventsOf(() => holder.connection!)
      const connection = await HubConnection.open(address, events, signal)
      holder.connection = connection
      // A hub that was frozen may answer an attempt that has been given up.
      const abort = () => connection.end()
      signal.addEventListener('abort', abort, { once: true })
      try {
        await greet(connection)
        return connection
      } catch (error) {
        connection.end()
        throw error
      } finally {
        signal.removeEventListener('abort', abort)
      }
    },
    lost: ({ lost }) => lost,
    end: (connection) => connection.end(),
    again: () => true,
    probe: { interval: ASK_EVERY, timeout: silence, ask: (connection) => connection.ask('ping') },
    hints: { unreachable: 'Start the hub, or correct the address.' },
  })
}
