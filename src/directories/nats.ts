import type { Directory } from '../directory.js'
import { OptionsError } from '../errors.js'
import type { JetStreamConnection } from '../brokers/nats/jetstream.js'
import type { NatsConnect, NatsConnectOptions } from '../brokers/nats/connection.js'
import type { OptionCheck } from '../driver-kit/index.js'
import { checkDriverOptions, checks } from '../driver-kit/index.js'
import { NatsEngine } from './nats/engine.js'

export type { JetStreamConnection, NatsConnect, NatsConnectOptions }

/** What `natsDirectory` takes besides the target. Durations are in milliseconds. */
export interface NatsDirectoryOptions {
  /**
   * The key-value bucket; servers with the same one are one cluster. It is made where there is
   * none. Default: `unifrost`.
   */
  bucket?: string
  /** On how many servers of a NATS cluster the bucket is kept, when it is made: 1, 3 or 5. Default: 1. */
  replicas?: number
  /**
   * After how long NATS deletes what is left over, when the bucket is made; longer than any client
   * is kept, which is twice `clientTTL` and at least 10 minutes. Default: an hour.
   */
  maxAge?: number
  /**
   * How long a server counts as alive without a word. It renews that at a third. Default: 10,000.
   */
  lease?: number
  /** How long NATS may take to answer. Default: 2,000. */
  timeout?: number
  /** How long one attempt to connect may take. Default: 5,000. */
  connectTimeout?: number
  /** The domain of JetStream, where it has one, as on a leaf node. */
  domain?: string
  /** The library's `connect`. Default: that of whichever library is installed. */
  connect?: NatsConnect
}

/**
 * Remembers clients in a key-value bucket of NATS JetStream.
 *
 * @param target A connection of `nats` or `@nats-io/transport-node`, which is never closed;
 *   `nats://…`, or what the library's `connect` takes.
 */
export function natsDirectory(
  target: JetStreamConnection | NatsConnectOptions | string,
  options: NatsDirectoryOptions = {},
): Directory {
  checkDriverOptions('natsDirectory', options, {
    bucket: [
      (value) => typeof value === 'string' && /^[\w-]{1,200}$/.test(value),
      'letters, digits, - and _',
    ],
    replicas: [(value) => [1, 3, 5].includes(value as number), '1, 3 or 5'],
    maxAge: checks.duration,
    lease: checks.duration,
    timeout: checks.duration,
    connectTimeout: checks.duration,
    domain: checks.text,
    connect: checks.callback('the connect of a NATS library'),
  } satisfies Record<keyof NatsDirectoryOptions, OptionCheck>)
  const { lease = 10_000, maxAge = 3_600_000 } = options
  if (maxAge < 2 * lease) {
    throw new OptionsError(
      `natsDirectory: maxAge (${maxAge}) is below twice the lease (${lease}). Raise it.`,
    )
  }
  return new NatsEngine({
    target,
    bucket: options.bucket ?? 'unifrost',
    replicas: options.replicas ?? 1,
    maxAge,
    lease,
    timeout: options.timeout ?? 2_000,
    connectTimeout: options.connectTimeout ?? 5_000,
    domain: options.domain,
    connect: options.connect,
  })
}
