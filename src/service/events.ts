import { EventEmitter } from 'node:events'
import type { Client, ClientEnd } from '../delivery/client.js'
import type { BrokerOutage } from '../driver.js'
import type { DisconnectReason } from '../delivery/connection.js'
import { safely } from '../callbacks.js'
import { isThenable } from '../option-checks.js'
import type { Logger } from '../options.js'

/** A Streamer's events, with the arguments of their listeners. */
export interface StreamerEvents {
  /** A client's stream has opened. */
  connect: [client: Client]
  /** A client's stream has ended. The client's TTL starts, unless the client was removed. */
  disconnect: [client: Client, reason: DisconnectReason]
  clientCreated: [client: Client]
  clientRemoved: [client: Client, reason: ClientEnd]
  /** The broker has opened a topic. */
  topicOpened: [topic: string]
  /** The driver has closed a topic, or the topic's subscription has failed. */
  topicClosed: [topic: string]
  /** A client was sent `messages-lost` for a topic. */
  messagesLost: [client: Client, topic: string]
  /** The driver can't reach its broker any more. It goes on trying. */
  brokerDown: [outage: BrokerOutage]
  /** The driver reaches its broker again. */
  brokerUp: [outage: BrokerOutage]
  /** The driver says that messages of a topic may be missing. The topic's clients are told. */
  gap: [topic: string, reason: string]
  /** An error that no caller gets: a subscription that failed, a listener that threw. */
  error: [error: Error]
}

/**
 * A typed emitter that survives its listeners' errors. It reports an error of a listener as an
 * `error` event and in the log, and calls the other listeners all the same. An `error` event
 * without a listener does not throw.
 */
export class SafeEmitter extends EventEmitter<StreamerEvents> {
  protected constructor(private readonly eventLog: Logger) {
    super()
  }

  /**
   * @internal Declared to users as EventEmitter's own: its type differs between the releases of
   * `@types/node`, and no declaration of ours fits all of them.
   */
  override emit<Name extends keyof StreamerEvents>(
    event: Name,
    ...details: StreamerEvents[Name]
  ): boolean {
    const listeners = this.rawListeners(event) as ((...details: unknown[]) => unknown)[]
    for (const listener of listeners) void this.callListener(event, listener, details)
    return listeners.length > 0
  }

  /**
   * Emits an event.
   *
   * @returns when the listeners' promises have settled, or undefined if there are none. Never rejects.
   */
  protected emitAndSettle<Name extends keyof StreamerEvents>(
    event: Name,
    ...details: StreamerEvents[Name]
  ): Promise<void> | undefined {
    const listeners = this.rawListeners(event) as ((...details: unknown[]) => unknown)[]
    const settled = listeners.flatMap(
      (listener) => this.callListener(event, listener, details) ?? [],
    )
    return settled.length === 0 ? undefined : Promise.all(settled).then(() => undefined)
  }

  private callListener(
    event: keyof StreamerEvents,
    listener: (...details: unknown[]) => unknown,
    details: unknown[],
  ): Promise<void> | undefined {
    try {
      const result = listener.apply(this, details)
      if (!isThenable(result)) return undefined
      return Promise.resolve(result).then(
        () => undefined,
        (cause: unknown) => this.listenerFailed(event, cause),
      )
    } catch (cause) {
      this.listenerFailed(event, cause)
      return undefined
    }
  }

  private listenerFailed(event: keyof StreamerEvents, cause: unknown): void {
    const error = new Error(`A listener of the Streamer's '${event}' event failed.`, { cause })
    // The error of an `error` listener goes to the log only.
    if (event !== 'error') this.emit('error', error)
    safely(() => this.eventLog.error({ err: error, event }, error.message))
  }
}
