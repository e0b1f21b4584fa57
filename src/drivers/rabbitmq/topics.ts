import { listenOver } from '../../driver-kit/index.js'
import type { Link, OpenSource, SourceEvents } from '../../driver-kit/index.js'
import type { RabbitMessage } from './connection.js'
import { refusalError } from './errors.js'
import type { ReadingSettings } from './errors.js'
import { placeOf } from './names.js'
import type { Session } from './session.js'

/** The sources that are read, or about to be, with who reads each. */
export type Readers = Map<string, SourceEvents<RabbitMessage>>

export interface TopicsSettings extends ReadingSettings {
  /** Waits for a first session. */
  connect(): Promise<unknown>
  /** How long RabbitMQ may take to confirm a source, a reconnect in between included. Milliseconds. */
  readonly subscribeTimeout: number
}

/** Reads sources over the link. A source is a place on an exchange, bound on each session anew. */
export function topicsOver(
  link: Link<Session>,
  readers: Readers,
  settings: TopicsSettings,
): OpenSource<RabbitMessage> {
  let isReconnecting = false
  link.on({
    up: () => void (isReconnecting = false),
    lost: () => void (isReconnecting = true),
    over: () => void (isReconnecting = false),
  })
  const listen = listenOver<Session, RabbitMessage>(link, {
    listen: (session, source, message) => session.bind(source, message),
    stop: (session, source) => session.release(source),
    refusal(source, error) {
      const session = link.current
      if (session === undefined || session.over !== undefined) return undefined
      return refusalError(error, placeOf(source), settings)
    },
    what(source) {
      const [exchange, key] = placeOf(source)
      return `the binding of ${JSON.stringify(key)} to the exchange ${JSON.stringify(exchange)}`
    },
    subscribeTimeout: settings.subscribeTimeout,
  })
  return async (source, events) => {
    // A first connection has a time of its own.
    if (!isReconnecting) await settings.connect()
    readers.set(source, events)
    const forget = () => readers.delete(source)
    try {
      const subscription = await listen(source, events)
      return { close: () => subscription.close().finally(forget) }
    } catch (error) {
      forget()
      throw error
    }
  }
}
