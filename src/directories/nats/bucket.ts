import { loadPeer, whenAbsent } from '../../driver-kit/index.js'
import { apiErrorOf, reasonOf } from '../../brokers/nats/jetstream.js'
import type { JetStreamConnection, JetStreamManager } from '../../brokers/nats/jetstream.js'

const ALLOW_IT =
  'Allow it. The permissions: https://github.com/unifrost/unifrost/blob/main/docs/scaling.md#nats'

/** What this directory uses of either library's manager of streams, and the driver does not. */
interface Manager {
  streams: {
    info(stream: string, options?: object): Promise<BucketInfo>
    add(config: object): Promise<BucketInfo>
    purge(stream: string, options: object): Promise<unknown>
    getMessage(stream: string, query: { last_by_subj: string }): Promise<StoredMessage | null>
  }
}

interface BucketInfo {
  readonly created: string
  readonly config: {
    readonly subjects?: string[]
    readonly max_msgs_per_subject?: number
    readonly max_age?: number
  }
  readonly state: { readonly subjects?: Record<string, number> }
}

interface StoredMessage {
  readonly seq: number
  readonly data: Uint8Array
  readonly time: Date
}

/** What this directory uses of either library's publisher. */
interface Publisher {
  publish(subject: string, data: Uint8Array, options: object): Promise<{ seq: number }>
}

/** One value of a bucket. `time` is that of NATS, in milliseconds since 1970. */
export interface Value {
  readonly sequence: number
  readonly time: number
  readonly text: string
}

export interface BucketSettings {
  readonly bucket: string
  readonly replicas: number
  readonly maxAge: number
  readonly timeout: number
  readonly domain: string | undefined
}

const WRONG_LAST_SEQUENCE = 10_071
const NO_MESSAGE = 10_037
const NANOSECONDS = 1_000_000

/**
 * A key-value bucket: a stream that keeps the last message of each subject. The sequence of that
 * message is the key's revision, and JetStream compares it on a write: who read revision 7 writes
 * only if the key's last message still has sequence 7.
 */
export class Bucket {
  private constructor(
    private readonly settings: BucketSettings,
    private readonly where: string,
    private readonly manager: Manager,
    private readonly publisher: Publisher,
    /** When the bucket was made. Another bucket of the same name has another time. */
    readonly created: string,
    /** After how long NATS deletes what is in it, in milliseconds. */
    readonly maxAge: number,
  ) {}

  /** Opens the bucket, and makes it where there is none. */
  static async open(
    connection: JetStreamConnection,
    driverManager: JetStreamManager,
    settings: BucketSettings,
  ): Promise<Bucket> {
    const manager = driverManager as unknown as Manager
    const where = connection.getServer()
    const { bucket } = settings
    let info: BucketInfo
    try {
      info = await manager.streams.info(`KV_${bucket}`).catch((error: unknown) => {
        if (reasonOf(error).kind !== 'gone') throw error
        return manager.streams.add(configuration(settings))
      })
    } catch (error) {
      throw openError(bucket, where, error)
    }
    const { subjects = [], max_msgs_per_subject: kept, max_age: age = 0 } = info.config
    if (!subjects.includes(`$KV.${bucket}.>`) || kept !== 1) {
      throw new Error(
        `Stream KV_${bucket} of NATS at ${where} is no bucket that keeps one value of each key. ` +
          'Name another bucket, or delete it.',
      )
    }
    const publisher = await publisherOf(connection, settings)
    const maxAge = age === 0 ? Infinity : age / NANOSECONDS
    return new Bucket(settings, where, manager, publisher, info.created, maxAge)
  }

  /** The last value of a key. It is the newest, since the stream's leader answers. */
  async get(key: string): Promise<Value | undefined> {
    let message
    try {
      const query = { last_by_subj: this.subject(key) }
      message = await this.manager.streams.getMessage(this.stream, query)
    } catch (error) {
      const api = apiErrorOf(error)
      if (api?.err_code === NO_MESSAGE || api?.code === 404) return undefined
      throw this.failure(error)
    }
    if (message === null) return undefined
    const { seq: sequence, time, data } = message
    return { sequence, time: time.getTime(), text: Buffer.from(data).toString() }
  }

  /**
   * Writes a key.
   *
   * @param last The sequence that its last value must have, 0 for none. Default: whatever it has.
   * @returns its sequence, or undefined where the last one was another.
   */
  async put(key: string, text: string, last?: number): Promise<number | undefined> {
    const expect = last === undefined ? {} : { lastSubjectSequence: last }
    const options = { expect, timeout: this.settings.timeout }
    try {
      return (await this.publisher.publish(this.subject(key), Buffer.from(text), options)).seq
    } catch (error) {
      if (apiErrorOf(error)?.err_code === WRONG_LAST_SEQUENCE) return undefined
      throw this.failure(error)
    }
  }

  /** Deletes the values of a key up to a sequence. Default: all of them. */
  async purge(key: string, through?: number): Promise<void> {
    const seq = through === undefined ? {} : { seq: through + 1 }
    try {
      await this.manager.streams.purge(this.stream, { filter: this.subject(key), ...seq })
    } catch (error) {
      throw this.failure(error)
    }
  }

  /** The last tokens of the keys `prefix.*`: `['a', 'b']` where there are `prefix.a` and `prefix.b`. */
  async last(prefix: string): Promise<string[]> {
    const filter = this.subject(`${prefix}.*`)
    try {
      const { state } = await this.manager.streams.info(this.stream, { subjects_filter: filter })
      return Object.keys(state.subjects ?? {}).map((key) => key.slice(filter.length - 1))
    } catch (error) {
      throw this.failure(error)
    }
  }

  private get stream(): string {
    return `KV_${this.settings.bucket}`
  }

  private subject(key: string): string {
    return `$KV.${this.settings.bucket}.${key}`
  }

  private failure(error: unknown): Error {
    const { kind, words } = reasonOf(error)
    const hint =
      kind === 'denied'
        ? ALLOW_IT
        : /maximum|insufficient|exceeded/i.test(words)
          ? 'The bucket is full: raise its limits, or those of the account.'
          : 'Check that it is up and reachable.'
    return new Error(
      `Bucket ${this.settings.bucket} of NATS at ${this.where} did not do it (${words}). ${hint}`,
      { cause: error },
    )
  }
}

function configuration({ bucket, replicas, maxAge }: BucketSettings): object {
  return {
    name: `KV_${bucket}`,
    subjects: [`$KV.${bucket}.>`],
    max_msgs_per_subject: 1,
    max_age: maxAge * NANOSECONDS,
    duplicate_window: Math.min(maxAge, 120_000) * NANOSECONDS,
    num_replicas: replicas,
    storage: 'file',
    discard: 'new',
    allow_rollup_hdrs: true,
    deny_delete: true,
    allow_direct: true,
  }
}

/** In version 2 of the library the connection makes it, in version 3 a package of its own does. */
async function publisherOf(
  connection: JetStreamConnection,
  { domain, timeout }: BucketSettings,
): Promise<Publisher> {
  const options = { timeout, ...(domain === undefined ? {} : { domain }) }
  const { jetstream } = connection as { jetstream?: unknown }
  if (typeof jetstream === 'function') return jetstream.call(connection, options) as Publisher
  const library = await loadPeer('natsDirectory', '@nats-io/jetstream', importJetStream)
  type Connection = Parameters<typeof library.jetstream>[0]
  return library.jetstream(connection as unknown as Connection, options)
}

function openError(bucket: string, where: string, cause: unknown): Error {
  const { kind, words } = reasonOf(cause)
  const hints = {
    disabled: 'JetStream is off there. Start nats-server with -js, or name the domain.',
    denied: ALLOW_IT,
    gone: 'Make the bucket, or allow that it is made.',
    refused: 'Make the bucket by hand, or correct replicas and maxAge.',
    lost: 'Check that it is up and reachable, and that JetStream is on.',
  }
  return new Error(
    `Bucket ${bucket} could not be opened on NATS at ${where} (${words}). ${hints[kind]}`,
    { cause },
  )
}

async function importJetStream() {
  try {
    return await import('@nats-io/jetstream')
  } catch (error) {
    return whenAbsent('@nats-io/jetstream', error)
  }
}
