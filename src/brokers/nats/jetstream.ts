import { randomUUID } from 'node:crypto'
import type { NatsConnection, NatsSubscription } from './connection.js'
import { loadPeer, whenAbsent } from '../../driver-kit/index.js'

/** What is used of a connection for JetStream, of `nats` or `@nats-io/transport-node`. */
export interface JetStreamConnection extends NatsConnection {
  subscribe(
    subject: string,
    options: { callback: (error: Error | null, message: NatsMessage) => void },
  ): NatsSubscription
  publish(subject: string, payload?: Uint8Array): void
  request(subject: string, payload: Uint8Array, options: { timeout: number }): Promise<NatsMessage>
  isDraining(): boolean
  readonly info?: { readonly version?: string }
}

/** A message as it comes from the library. */
export interface NatsMessage {
  readonly subject: string
  readonly data: Uint8Array
  readonly reply?: string
  readonly headers?: NatsHeaders & { readonly code: number; readonly description: string }
}

/**
 * The headers of a message. The library reads them when they are asked for, and throws at those that it
 * would not write itself, which a publisher may write all the same: they count as none.
 */
export function headersOf(message: NatsMessage): NatsMessage['headers'] {
  try {
    return message.headers
  } catch {
    return undefined
  }
}

/** The headers of a message. */
export interface NatsHeaders {
  get(name: string): string
  has(name: string): boolean
  keys(): string[]
}

/** What the server tells of a stream. */
export interface StreamInfo {
  readonly created: string
  readonly config: {
    readonly subjects?: string[]
    readonly storage?: string
    readonly num_replicas?: number
    readonly mirror?: unknown
    readonly sources?: unknown[]
    readonly subject_transform?: unknown
  }
  readonly state: {
    readonly first_seq: number
    readonly first_ts?: string
    readonly last_seq: number
    readonly last_ts?: string
    readonly num_deleted?: number
    /** Only where they were asked for. */
    readonly deleted?: readonly number[]
  }
}

/** What is used of either library's manager of streams and consumers. */
export interface JetStreamManager {
  streams: {
    info(stream: string, options?: { deleted_details: boolean }): Promise<StreamInfo>
    add(config: object): Promise<unknown>
  }
  consumers: {
    add(
      stream: string,
      config: object,
    ): Promise<{ delivered: { stream_seq: number }; num_pending: number }>
    delete(stream: string, name: string): Promise<unknown>
  }
}

/** A connection, and what manages streams and consumers over it. */
export interface Linked {
  readonly connection: JetStreamConnection
  readonly manager: JetStreamManager
}

/**
 * Makes the manager of a connection. In version 2 of the library the connection does, in version 3 a
 * package of its own.
 */
export async function managerOf(
  connection: JetStreamConnection,
  domain: string | undefined,
  timeout: number,
): Promise<JetStreamManager> {
  // Without the check of the account, which would need one more permission.
  const options = { checkAPI: false, timeout, ...(domain === undefined ? {} : { domain }) }
  const { jetstreamManager } = connection as { jetstreamManager?: unknown }
  if (typeof jetstreamManager === 'function') {
    return (await jetstreamManager.call(connection, options)) as JetStreamManager
  }
  const library = await loadPeer('jetstreamDriver', '@nats-io/jetstream', importJetStream)
  type Connection = Parameters<typeof library.jetstreamManager>[0]
  const made = await library.jetstreamManager(connection as unknown as Connection, options)
  return made
}

/** A subject that is used nowhere else, below the prefix where this connection may receive. */
export function newInbox(connection: JetStreamConnection): string {
  const { options } = connection as { options?: { inboxPrefix?: string } }
  return `${options?.inboxPrefix ?? '_INBOX'}.${randomUUID().replaceAll('-', '')}`
}

/** What an error of either library says. */
export interface Reason {
  /**
   * `gone`: there is no such stream. `denied`: no permission. `disabled`: nobody answers for
   * JetStream. `refused`: the server says no for another reason. `lost`: no answer, or one that may
   * be another a moment later.
   */
  readonly kind: 'gone' | 'denied' | 'disabled' | 'refused' | 'lost'
  readonly words: string
}

const STREAM_NOT_FOUND = 10_059
const NOT_ENABLED = [10_039, 10_076]
/** Another stream has this name, or its subjects, already. */
export const NAME_IN_USE = 10_058

interface ApiError {
  code?: number
  err_code?: number
  description?: string
}

export function reasonOf(error: unknown): Reason {
  const { message = String(error), name, cause } = error as Partial<Error>
  const said = `${message} ${(cause as Partial<Error> | undefined)?.message ?? ''}`
  const api = apiErrorOf(error)
  const words = api?.description ?? message
  if (/permissions.violation/i.test(said)) return { kind: 'denied', words: said.trim() }
  if (api?.err_code === STREAM_NOT_FOUND) return { kind: 'gone', words }
  if (NOT_ENABLED.includes(api?.err_code ?? 0)) return { kind: 'disabled', words }
  if (name === 'JetStreamNotEnabled' || (error as { code?: unknown }).code === '503') {
    return { kind: 'disabled', words: 'nobody answers for JetStream' }
  }
  // A cluster that has no leader at the moment answers with 503.
  if (api?.err_code !== undefined && api.code !== 503) return { kind: 'refused', words }
  return { kind: 'lost', words }
}

/** The server's own error. Version 2 of the library keeps it elsewhere than version 3. */
export function apiErrorOf(error: unknown): ApiError | undefined {
  const {
    api_error: older,
    code,
    status,
    message,
  } = error as {
    api_error?: ApiError
    code?: unknown
    status?: number
    message?: string
  }
  if (older !== undefined) return older
  if (typeof code !== 'number') return undefined
  return {
    err_code: code,
    ...(status === undefined ? {} : { code: status }),
    ...(message === undefined ? {} : { description: message }),
  }
}

async function importJetStream() {
  try {
    return await import('@nats-io/jetstream')
  } catch (error) {
    return whenAbsent('@nats-io/jetstream', error)
  }
}
