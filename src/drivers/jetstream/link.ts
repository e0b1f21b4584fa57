import { closedError as closedDriver } from '../../driver-kit/index.js'
import type { Link } from '../../driver-kit/index.js'
import type { NatsConnect, NatsConnectOptions } from '../../brokers/nats/connection.js'
import { natsLink } from '../../brokers/nats/link.js'
import { managerOf } from '../../brokers/nats/jetstream.js'
import type { JetStreamConnection, JetStreamManager } from '../../brokers/nats/jetstream.js'

/** A connection, and what manages streams and consumers over it. */
export interface Linked {
  readonly connection: JetStreamConnection
  readonly manager: JetStreamManager
}

export interface LinkSettings {
  /** One that somebody brought, or where to connect to. */
  readonly target: JetStreamConnection | NatsConnectOptions | string
  readonly domain: string | undefined
  readonly connect: NatsConnect | undefined
  readonly connectTimeout: number
  readonly requestTimeout: number
}

export interface LinkEvents {
  /** It was lost and is back. */
  back(): void
  /** It is closed for good, by its owner or since its credentials are refused. */
  ended(error: Error): void
}

/** The connection of a driver: there from when it is first needed, and made anew if it ends. */
export class JetStreamLink {
  readonly #link: Link<JetStreamConnection>
  #linked: Linked | undefined

  constructor(
    private readonly settings: LinkSettings,
    events: LinkEvents,
  ) {
    const { target, connect, connectTimeout } = settings
    this.#link = natsLink(
      target,
      { user: 'jetstreamDriver', connect, connectTimeout },
      {
        status({ type }) {
          if (type === 'reconnect') events.back()
        },
        ended: (error) => events.ended(error),
      },
    )
  }

  async get(): Promise<Linked> {
    const { domain, requestTimeout } = this.settings
    const connection = await this.#link.get()
    if (this.#linked?.connection === connection) return this.#linked
    const manager = await managerOf(connection, domain, requestTimeout)
    this.#linked = { connection, manager }
    return this.#linked
  }

  /** Ends the connection, if it is the driver's own. */
  close(): Promise<void> {
    return this.#link.close()
  }
}

export function closedError(): Error {
  return closedDriver('JetStream')
}
