import { quoted } from './channel.js'

/** One notification. */
export interface PostgresMessage {
  channel: string
  /** Empty for a NOTIFY without one. */
  payload: string
}

/** What is used of a `pg.Client`. The library does not have to be installed for these types. */
export interface PostgresClient {
  query(text: string): Promise<unknown>
  on(event: 'notification', listener: (message: PostgresNotification) => void): unknown
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'end', listener: () => void): unknown
  removeListener(
    event: string,
    listener: ((message: PostgresNotification) => void) | ((error: Error) => void),
  ): unknown
}

/** A notification as `pg` hands it over. */
export interface PostgresNotification {
  channel: string
  payload?: string | undefined
}

interface Statement {
  sql: string
  resolve(): void
  reject(error: unknown): void
}

/** How many statements go with one query at most, so that each answer comes soon. */
const BATCH = 500

/** One connection to PostgreSQL, and the channels that it listens to. */
export class Session {
  /** Settles when the connection is gone, for whatever reason. */
  readonly lost: Promise<Error>
  readonly #readers = new Map<string, (message: PostgresMessage) => void>()
  readonly #waiting: Statement[] = []
  readonly #release: () => void
  #isAsking = false
  #isLost = false

  constructor(private readonly client: PostgresClient) {
    const onNotification = ({ channel, payload = '' }: PostgresNotification) => {
      this.#readers.get(channel)?.({ channel, payload })
    }
    let lose: (reason: Error) => void = () => undefined
    this.lost = new Promise((resolve) => (lose = resolve))
    // The error that ends a connection may be followed by others, so this listener stays on it.
    const onError = (error: Error) => {
      this.#isLost = true
      lose(error)
    }
    const onEnd = () => onError(new Error('the connection was closed'))
    client.on('notification', onNotification)
    client.on('error', onError)
    client.on('end', onEnd)
    this.#release = () => {
      client.removeListener('notification', onNotification)
      client.removeListener('end', onEnd)
      if (!this.#isLost) client.removeListener('error', onError)
    }
  }

  /** Settles when every message that is committed from now on arrives. */
  async listen(channel: string, reader: (message: PostgresMessage) => void): Promise<void> {
    this.#readers.set(channel, reader)
    await this.ask(`LISTEN ${quoted(channel)}`)
  }

  async unlisten(channel: string): Promise<void> {
    this.#readers.delete(channel)
    await this.ask(`UNLISTEN ${quoted(channel)}`)
  }

  /**
   * Settles when PostgreSQL has done it. `pg` takes one query at a time: statements that come
   * meanwhile go together with the next query, and fail together, as one transaction.
   */
  ask(sql: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ sql, resolve, reject })
      if (!this.#isAsking) void this.#askAll()
    })
  }

  /** Stops listening and takes its own listeners off the client, which goes on working. */
  async leave(): Promise<void> {
    const statements = [...this.#readers.keys()].map((name) => `UNLISTEN ${quoted(name)}`)
    this.#readers.clear()
    for (const { reject } of this.#waiting.splice(0)) reject(new Error('the session was left'))
    try {
      if (statements.length > 0 && !this.#isLost) await this.ask(statements.join(';'))
    } finally {
      this.#release()
    }
  }

  async #askAll(): Promise<void> {
    this.#isAsking = true
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, BATCH)
      try {
        await this.client.query(batch.map(({ sql }) => sql).join(';'))
        for (const { resolve } of batch) resolve()
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
    }
    this.#isAsking = false
  }
}
