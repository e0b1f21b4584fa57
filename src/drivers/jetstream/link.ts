import { Backoff, connectNats, loadConnect } from '../nats/connection.js'
import type { NatsConnect, NatsConnectOptions } from '../nats/connection.js'
import { within } from '../toolbox/within.js'
import { managerOf } from './api.js'
import type { JetStreamConnection, JetStreamManager } from './api.js'
import { CLOSE_TIMEOUT } from './reader.js'

/** A connection, and what manages streams and consumers over it. */
export interface Linked {
  readonly connection: JetStreamConnection
  readonly manager: JetStreamManager
}

export interface LinkSettings {
  /** One that somebody brought, or where to connect to. */
  readonly target: JetStreamConnection | NatsConnectOptions
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
  readonly #backoff = new Backoff()
  #linking: Promise<Linked> | undefined
  #current: JetStreamConnection | undefined
  #stopFollowing: (() => void) | undefined
  #closed = false

  constructor(
    private readonly settings: LinkSettings,
    private readonly events: LinkEvents,
  ) {}

  get(): Promise<Linked> {
    if (!this.#linking) {
      const linking = this.#open()
      this.#linking = linking
      linking.catch(() => {
        if (this.#linking === linking) this.#linking = undefined
      })
    }
    return this.#linking
  }

  async #open(): Promise<Linked> {
    const { target, domain, requestTimeout } = this.settings
    const brought = isConnection(target)
    const connection = brought ? target : await this.#connect(target)
    try {
      if (this.#closed) throw closedError()
      if (connection.isClosed()) throw closedConnectionError()
      const manager = await managerOf(connection, domain, requestTimeout)
      this.#use(connection)
      return { connection, manager }
    } catch (error) {
      if (!brought) await within(connection.close(), CLOSE_TIMEOUT)
      throw error
    }
  }

  async #connect(options: NatsConnectOptions): Promise<JetStreamConnection> {
    const { connectTimeout, connect } = this.settings
    const load = connect ?? (await loadConnect('jetstreamDriver'))
    return (await connectNats(options, connectTimeout, this.#backoff, load)) as JetStreamConnection
  }

  #use(connection: JetStreamConnection): void {
    this.#current = connection
    const statuses = connection.status()
    this.#stopFollowing = () => (statuses as { stop?: () => void }).stop?.()
    const follow = async () => {
      for await (const { type } of statuses) {
        this.#backoff.follow(type)
        if (type === 'reconnect') this.events.back()
      }
    }
    follow().catch((error: unknown) => this.#end(connection, error))
    void connection.closed().then((reason) => this.#end(connection, reason))
  }

  #end(connection: JetStreamConnection, reason: unknown): void {
    if (this.#current !== connection) return
    this.#current = this.#linking = undefined
    this.events.ended(new Error('The connection to NATS has been closed.', { cause: reason }))
  }

  /** Ends the connection, if it is the driver's own. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#linking?.catch(() => undefined)
    this.#stopFollowing?.()
    const connection = this.#current
    this.#current = undefined
    if (!connection || connection.isClosed()) return
    const brought = isConnection(this.settings.target)
    await within(brought ? connection.flush() : connection.close(), CLOSE_TIMEOUT)
  }
}

export function isConnection(target: unknown): target is JetStreamConnection {
  return typeof (target as JetStreamConnection | undefined)?.subscribe === 'function'
}

export function closedError(): Error {
  return new Error('This JetStream driver has been closed. Make a new one.')
}

function closedConnectionError(): Error {
  return new Error(
    'The NATS connection given to jetstreamDriver has been closed. Make a new connection and a ' +
      'new driver, or give the address and let the driver connect.',
  )
}
