import { EventEmitter } from 'node:events'
import type { Client, ClientEnd } from '../delivery/client.js'
import type { DisconnectReason } from '../delivery/connection.js'
import type { Logger } from '../options.js'

/** The events of a Streamer and what their listeners get. */
export interface StreamerEvents {
  /** A client's stream is open. */
  connect: [client: Client]
  /** A client's stream has ended; its TTL runs, unless it has been removed. */
  disconnect: [client: Client, reason: DisconnectReason]
  clientCreated: [client: Client]
  clientRemoved: [client: Client, reason: ClientEnd]
  /** The broker has opened a topic. */
  topicOpened: [topic: string]
  /** A topic was let go, or its subscription has failed. */
  topicClosed: [topic: string]
  /** A client was told that messages of a topic are missing. */
  messagesLost: [client: Client, topic: string]
  /** Something went wrong that nobody waits for: a failed subscription, a listener that threw. */
  error: [error: Error]
}

/**
 * A typed emitter whose listeners can do no harm: what they throw is reported as an `error`
 * event and in the log, the other listeners are called all the same, and an `error` event
 * without a listener throws nothing.
 */
export class SafeEmitter extends EventEmitter<StreamerEvents> {
  protected constructor(private readonly eventLog: Logger) {
    super()
  }

  override emit<Name extends keyof StreamerEvents>(
    event: Name,
    ...details: StreamerEvents[Name]
  ): boolean {
    const listeners = this.rawListeners(event) as ((...details: unknown[]) => unknown)[]
    for (const listener of listeners) this.callListener(event, listener, details)
    return listeners.length > 0
  }

  private callListener(
    event: keyof StreamerEvents,
    listener: (...details: unknown[]) => unknown,
    details: unknown[],
  ): void {
    try {
      const result = listener.apply(this, details)
      if (result instanceof Promise)
        result.catch((cause: unknown) => this.listenerFailed(event, cause))
    } catch (cause) {
      this.listenerFailed(event, cause)
    }
  }

  private listenerFailed(event: keyof StreamerEvents, cause: unknown): void {
    const error = new Error(`A listener of the Streamer's '${event}' event failed.`, { cause })
    // An error listener that fails has nobody left to tell but the log.
    if (event !== 'error') this.emit('error', error)
    safely(() => this.eventLog.error({ err: error, event }, error.message))
  }
}

/** Calls something of the application's that must not be able to do harm. */
export function safely(call: () => void): void {
  try {
    call()
  } catch (error) {
    // The logger itself failed: there is no place left to report it without harm.
    void error
  }
}
