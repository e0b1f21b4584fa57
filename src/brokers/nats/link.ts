import { connectError, Link } from '../../driver-kit/index.js'
import { connectOptions, dial, isConnection, loadConnect, ReconnectDelay } from './connection.js'
import type { NatsConnect, NatsConnection, NatsConnectOptions, NatsStatus } from './connection.js'

export interface NatsLinkSettings {
  /** The function that the user called, for errors: `natsDriver`. */
  readonly user: string
  readonly connect: NatsConnect | undefined
  /** Milliseconds. */
  readonly connectTimeout: number
}

export interface NatsLinkEvents<Connection> {
  /** The library says what happens to the connection, which it makes anew by itself. */
  status(status: NatsStatus, connection: Connection): void
  /** The connection is closed for good: by its owner, or since its credentials are refused. */
  ended(error: Error): void
}

/**
 * The link to NATS: a connection of the user's, or one of our own. The library reconnects by itself,
 * so a connection is made anew only after the library has closed it.
 */
export function natsLink<Connection extends NatsConnection>(
  target: Connection | NatsConnectOptions | string,
  { user, connect, connectTimeout }: NatsLinkSettings,
  events: NatsLinkEvents<Connection>,
): Link<Connection> {
  const brought = isConnection(target) ? target : undefined
  const server = isConnection(target) ? undefined : connectOptions(target, user)
  const where = server ? server.servers.join(', ') : 'the given connection'
  const delay = new ReconnectDelay()
  let library: NatsConnect
  let stopFollowing: (() => void) | undefined

  const link = new Link<Connection>({
    broker: 'NATS',
    where,
    connectTimeout,
    async prepare() {
      if (brought?.isClosed()) throw closedConnectionError(user)
      if (server) library = connect ?? (await loadConnect(user))
    },
    connect: async (attempt) =>
      brought ?? ((await dial(server!, attempt, delay, library)) as Connection),
    lost: (connection) => connection.closed(),
    async end(connection) {
      stopFollowing?.()
      await (brought ? connection.flush() : connection.close())
    },
    explain: (cause) =>
      connectError('NATS', where, cause, {
        credentials: 'Check user and password, token or authenticator.',
        tls: 'Check the tls options.',
        refusal: /authorization|authentication|credentials|BAD_CREDS/i,
      }),
  })

  link.on({
    up(connection) {
      const statuses = connection.status()
      stopFollowing = () => (statuses as { stop?: () => void }).stop?.()
      const follow = async () => {
        for await (const status of statuses) {
          delay.follow(status.type)
          if (status.type === 'disconnect') link.silent(new Error('the connection was lost'))
          else if (status.type === 'reconnect') link.heard()
          events.status(status, connection)
        }
      }
      follow().catch((error: unknown) => link.lose(connection, error))
    },
    lost(reason) {
      events.ended(new Error('The connection to NATS has been closed.', { cause: reason }))
    },
  })
  return link
}

function closedConnectionError(user: string): Error {
  const kind = user.endsWith('Directory') ? 'directory' : 'driver'
  return new Error(
    `The NATS connection given to ${user} has been closed. Make a new connection and a new ` +
      `${kind}, or give the address and let the ${kind} connect.`,
  )
}
