import { Link } from '../../driver-kit/index.js'
import { CLOSE_TIMEOUT, discard } from './connection.js'
import type { RabbitConnection } from './connection.js'
import { linkError, reasonOf } from './errors.js'
import type { Origin } from './origin.js'
import { Session } from './session.js'
import type { SessionSettings } from './session.js'

/** The link, and how to close it. */
export interface RabbitLink {
  readonly link: Link<Session>
  close(): Promise<void>
}

/**
 * The link to RabbitMQ. Each session of it has a connection of its own, or they come one after
 * another on the user's.
 */
export function rabbitLink(
  origin: Origin,
  settings: SessionSettings & { connectTimeout: number },
): RabbitLink {
  const { where, isBrought } = origin
  const watch = new Watch()
  const link = new Link<Session>({
    broker: 'RabbitMQ',
    where,
    // A connection of the user's may be waiting for its own recovery, as long as that takes.
    connectTimeout: isBrought ? Infinity : settings.connectTimeout,
    // Closing a session takes two steps.
    closeTimeout: 2 * CLOSE_TIMEOUT + 100,
    prepare: () => origin.prepare(),
    async connect({ signal }) {
      const connection = await origin.connect(signal)
      watch.on(connection)
      if (isBrought) return Session.open(connection, settings)
      const giveUp = () => void discard(connection)
      signal.addEventListener('abort', giveUp, { once: true })
      try {
        // A connection that came too late is ended like one that opens no channel.
        signal.throwIfAborted()
        return await Session.open(connection, settings)
      } catch (error) {
        await discard(connection)
        throw error
      } finally {
        signal.removeEventListener('abort', giveUp)
      }
    },
    async lost(session) {
      const over = await session.ended
      // What the connection said of itself is the best reason there is.
      const reason = new Error(reasonOf(watch.said(session.connection) ?? over), { cause: over })
      // The session is over, but its connection may be there: this ends it.
      link.lose(session, reason)
      return reason
    },
    async end(session) {
      if (isBrought) return session.close()
      session.end(new Error('the driver was closed'))
      await discard(session.connection)
    },
    // A connection of the user's that is closed stays so.
    again: () => !isBrought,
    explain: (cause) => linkError(origin, cause),
  })
  return {
    link,
    async close() {
      await link.close()
      watch.off()
    },
  }
}

/** Hears what a connection says of itself. An 'error' that nobody hears would end the process. */
class Watch {
  #connection: RabbitConnection | undefined
  #said: unknown
  readonly #hear = (error: unknown) => {
    if (error !== undefined) this.#said = error
  }

  /** Hears this connection from now on, and no other. */
  on(connection: RabbitConnection): void {
    if (this.#connection === connection) return
    this.off()
    this.#connection = connection
    this.#said = undefined
    for (const event of EVENTS) connection.on(event, this.#hear)
  }

  said(connection: RabbitConnection): unknown {
    return this.#connection === connection ? this.#said : undefined
  }

  off(): void {
    for (const event of EVENTS) this.#connection?.removeListener(event, this.#hear)
  }
}

const EVENTS = ['error', 'close']
