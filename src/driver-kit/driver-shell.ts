import type { Driver, Published, Sink, Subscription, TopicKind } from '../driver.js'
import type { Closings } from './closings.js'
import { inTime } from './in-time.js'
import type { Reach } from './reach.js'

/** A driver that can connect before there is a topic. */
export interface BrokerDriver extends Driver {
  /**
   * Connects now instead of with the first topic, to find out early that it can't. It rejects
   * with one error that says what to do, and may be called again.
   */
  connect(): Promise<void>
}

/**
 * What a driver is made of: how to connect, how to listen to one topic, how to stop. A driver with a
 * log has `LogSink` and `LogSubscription` for the types.
 */
export interface DriverParts<
  TopicSink extends Sink = Sink,
  Open extends Subscription = Subscription,
> {
  /** Shared with whatever else of the driver has to know that it is being closed. */
  closings: Closings
  /** See `Driver.encoding`. Default: `utf8`. */
  encoding?: 'utf8' | 'base64' | undefined
  /** See `Driver.kindOf`. Default: every name is plain. */
  kindOf?: (topic: string) => TopicKind
  /** See `Driver.brokerState`: the `state` of the driver's `Link`, or a `Reach` of its own. */
  brokerState?: Reach | undefined
  /** Connects, unless it has. */
  connect(): Promise<unknown>
  /** See `Driver.subscribe`. */
  subscribe(topic: string, sink: TopicSink): Promise<Open>
  /** See `Driver.publish`. Default: the driver only reads. */
  publish?: ((topic: string, payload: string | Uint8Array) => Promise<Published>) | undefined
  /**
   * Lets go of everything, in bounded time. It is called once, when `closings.signal` has been
   * aborted and nothing new is begun.
   */
  close(): Promise<unknown>
}

/**
 * The shell that every driver has around its parts: nothing begins after `close`, `close` works once,
 * and a topic that was opened while the driver was being closed is closed again.
 */
export function driverShell<
  TopicSink extends Sink = Sink,
  Open extends Subscription = Subscription,
>(
  parts: DriverParts<TopicSink, Open>,
): Omit<BrokerDriver, 'subscribe'> & {
  subscribe(topic: string, sink: TopicSink): Promise<Open>
} {
  const { closings, encoding = 'utf8', brokerState, publish } = parts
  brokerState?.askWith(() => parts.connect(), closings.signal)
  return {
    encoding,
    ...(parts.kindOf && { kindOf: parts.kindOf }),
    brokerState,

    async connect(): Promise<void> {
      closings.check()
      const connecting = (async () => parts.connect())()
      await inTime(connecting, Infinity, undefined, closings.signal)
      closings.check()
    },

    async subscribe(topic: string, sink: TopicSink): Promise<Open> {
      closings.check()
      const opening = parts.subscribe(topic, sink)
      try {
        return await inTime(opening, Infinity, undefined, closings.signal)
      } catch (error) {
        if (closings.signal.aborted) discard(closings, opening)
        throw error
      }
    },

    ...(publish && {
      async publish(topic: string, payload: string | Uint8Array): Promise<Published> {
        closings.check()
        return inTime(publish(topic, payload), Infinity, undefined, closings.signal)
      },
    }),

    close: (): Promise<void> => closings.close(() => parts.close()),
  }
}

/** Closes a topic that is opened although the driver is being closed. */
function discard(closings: Closings, opening: Promise<Subscription>): void {
  opening.then((late) => void closings.add(late.close())).catch(() => undefined)
}
