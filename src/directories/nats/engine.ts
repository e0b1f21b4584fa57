import { createHash } from 'node:crypto'
import type { Directory, DirectoryHost, Entry, Outcome, Revision, Stored } from '../../directory.js'
import { DirectoryUnavailableError } from '../../errors.js'
import type { JetStreamConnection } from '../../brokers/nats/jetstream.js'
import { managerOf } from '../../brokers/nats/jetstream.js'
import type {
  NatsConnect,
  NatsConnectOptions,
  NatsSubscription,
} from '../../brokers/nats/connection.js'
import { natsLink } from '../../brokers/nats/link.js'
import type { Link } from '../../driver-kit/index.js'
import type { LeasedEngine } from '../toolbox/lease-keeper.js'
import { LeaseKeeper } from '../toolbox/lease-keeper.js'
import { Bucket } from './bucket.js'
import type { BucketSettings, Value } from './bucket.js'

export interface NatsSettings extends BucketSettings {
  readonly target: JetStreamConnection | NatsConnectOptions | string
  readonly lease: number
  readonly connectTimeout: number
  readonly connect: NatsConnect | undefined
}

/** What this directory uses of a connection, and the drivers do not. */
interface Requests {
  request(subject: string, data: Uint8Array, options: object): Promise<{ data: Uint8Array }>
  subscribe(
    subject: string,
    options: { callback: (error: Error | null, message: Question) => void },
  ): NatsSubscription
}

interface Question {
  readonly data: Uint8Array
  respond(data: Uint8Array): boolean
}

/**
 * See `natsDirectory`.
 *
 * A value is `TTL\nTEXT`. It counts for TTL milliseconds from when NATS stored it, by NATS's clock:
 * `60000\n{…}` stored at 12:00:00 is over at 12:01:00, and NATS deletes it when it is as old as the
 * bucket's `max_age`.
 */
export class NatsEngine implements Directory, LeasedEngine {
  readonly lease: number
  readonly #leaseKeeper = new LeaseKeeper(this)
  readonly #link: Link<JetStreamConnection>
  #host: DirectoryHost | undefined
  #connection: JetStreamConnection | undefined
  #bucket: Bucket | undefined
  #questions: NatsSubscription | undefined
  /** Settles the promise that `enter` gave: the connection is lost, for now or for good. */
  #lost: (reason: unknown) => void = () => undefined
  /** How far NATS's clock is ahead of ours, in milliseconds. */
  #ahead = 0

  constructor(private readonly settings: NatsSettings) {
    const { target, connect, connectTimeout } = settings
    this.lease = settings.lease
    this.#link = natsLink(
      target,
      { user: 'natsDirectory', connect, connectTimeout },
      {
        status: ({ type }) => {
          if (type === 'disconnect') this.#lost(new Error('The connection to NATS was lost.'))
        },
        ended: (error) => this.#lost(error),
      },
    )
  }

  open(host: DirectoryHost): Promise<void> {
    this.#host = host
    return this.#leaseKeeper.open(host)
  }

  async get(id: string): Promise<Stored | undefined> {
    const value = await this.#do((bucket) => bucket.get(entryKey(id)))
    if (value === undefined || this.#isOver(value)) return undefined
    const end = value.text.indexOf('\n')
    return { text: value.text.slice(end + 1), revision: String(value.sequence) }
  }

  async put(
    { id, owner, text }: Entry,
    revision: Revision | undefined,
    ttl: number,
  ): Promise<Revision | undefined> {
    return this.#do(async (bucket) => {
      if (ttl > bucket.maxAge) {
        throw new Error(
          `A client is kept for ${ttl} ms, and bucket ${this.settings.bucket} only for ` +
            `${bucket.maxAge} ms. Raise the bucket's age (maxAge), or lower clientTTL.`,
        )
      }
      const value = `${Math.ceil(ttl)}\n${text}`
      const owned = owner === undefined ? undefined : bucket.put(ownedKey(owner, id), '')
      const written = this.#write(bucket, entryKey(id), value, revision)
      const [sequence] = await Promise.all([written, owned])
      return sequence === undefined ? undefined : String(sequence)
    })
  }

  async delete({ id, owner }: Omit<Entry, 'text'>, revision: Revision): Promise<boolean> {
    return this.#do(async (bucket) => {
      const key = entryKey(id)
      // Two steps, since NATS compares revisions only on a write: a value that is over is written,
      // and then purged.
      const sequence = await bucket.put(key, '0\n', Number(revision))
      if (sequence === undefined) {
        const value = await bucket.get(key)
        return value === undefined || this.#isOver(value)
      }
      const owned = owner === undefined ? undefined : bucket.purge(ownedKey(owner, id))
      await Promise.all([bucket.purge(key, sequence), owned])
      return true
    })
  }

  async idsOf(owner: string): Promise<string[]> {
    const found = await this.#do((bucket) => bucket.last(ownerKey(owner)))
    return found.map((token) => Buffer.from(token, 'base64url').toString())
  }

  async servers(): Promise<string[]> {
    return this.#do(async (bucket) => {
      const names = await bucket.last('servers')
      const values = await Promise.all(names.map((name) => bucket.get(serverKey(name))))
      return names.filter((_, i) => values[i] !== undefined && !this.#isOver(values[i]))
    })
  }

  async ask(server: string, message: string, timeout: number): Promise<Outcome> {
    this.#leaseKeeper.check()
    const { request } = this.#connection as unknown as Requests
    try {
      const data = Buffer.from(message)
      const answer = await request.call(this.#connection, this.#subject(server), data, { timeout })
      return { answer: Buffer.from(answer.data).toString() }
    } catch (error) {
      return outcomeOf(error)
    }
  }

  async close(): Promise<void> {
    if (this.#leaseKeeper.isClosed) return
    const { server } = this.#host ?? {}
    if (server !== undefined) {
      const leave = this.#do((bucket) => bucket.purge(serverKey(server)))
      // Where it can't be given back, the lease lapses by itself.
      await leave.catch((error: unknown) => void error)
    }
    this.#stopReceiving()
    await Promise.all([this.#leaseKeeper.close(), this.#link.close()])
    // `enter` may have been under way, and have begun to receive since.
    this.#stopReceiving()
  }

  async enter(host: DirectoryHost): Promise<{ memory: string; lost: Promise<unknown> }> {
    const { domain, timeout } = this.settings
    const connection = await this.#link.get()
    if (this.#connection !== connection) this.#questions = undefined
    this.#connection = connection
    const lost = new Promise<unknown>((resolve) => (this.#lost = resolve))
    const manager = await managerOf(connection, domain, timeout)
    const bucket = await Bucket.open(connection, manager, this.settings)
    this.#bucket = bucket
    if (this.#questions === undefined || this.#questions.isClosed()) {
      const requests = connection as unknown as Requests
      this.#questions = requests.subscribe(this.#subject(host.server), {
        callback: (error, message) => {
          if (error === null) void this.#answer(host, message)
        },
      })
    }
    await connection.flush()
    await this.#renewIn(bucket, host)
    return { memory: bucket.created, lost }
  }

  async renew(host: DirectoryHost): Promise<void> {
    await this.#do((bucket) => this.#renewIn(bucket, host))
  }

  async #renewIn(bucket: Bucket, { server }: DirectoryHost): Promise<void> {
    const key = serverKey(server)
    await bucket.put(key, `${this.lease}\n`)
    const now = Date.now()
    const value = await bucket.get(key)
    if (value !== undefined) this.#ahead = value.time - now
  }

  #stopReceiving(): void {
    this.#questions?.unsubscribe()
    this.#questions = undefined
  }

  async #answer(host: DirectoryHost, message: Question): Promise<void> {
    const answer = await host.receive(Buffer.from(message.data).toString())
    try {
      message.respond(Buffer.from(answer))
    } catch (error) {
      // The connection is closed. The server that asked finds out that there is no answer.
      void error
    }
  }

  async #write(
    bucket: Bucket,
    key: string,
    value: string,
    revision: Revision | undefined,
  ): Promise<number | undefined> {
    if (revision !== undefined) return bucket.put(key, value, Number(revision))
    const made = await bucket.put(key, value, 0)
    if (made !== undefined) return made
    const found = await bucket.get(key)
    // A value that is over is written over as if it were not there.
    if (found === undefined) return bucket.put(key, value, 0)
    return this.#isOver(found) ? bucket.put(key, value, found.sequence) : undefined
  }

  async #do<T>(call: (bucket: Bucket) => Promise<T>): Promise<T> {
    this.#leaseKeeper.check()
    try {
      return await call(this.#bucket!)
    } catch (error) {
      throw error instanceof DirectoryUnavailableError
        ? error
        : new DirectoryUnavailableError(error)
    }
  }

  #isOver({ time, text }: Value): boolean {
    // A value without a number in its first line was not written by us, so it is never over.
    const ttl = /^(\d+)\n/.exec(text)?.[1]
    return ttl !== undefined && time + Number(ttl) <= Date.now() + this.#ahead
  }

  #subject(server: string): string {
    return `unifrost.${this.settings.bucket}.${server}`
  }
}

function outcomeOf(error: unknown): Outcome {
  const { code, name, message = '' } = error as { code?: unknown; name?: string; message?: string }
  const { isNoResponders } = error as { isNoResponders?: () => boolean }
  if (code === '503' || name === 'NoRespondersError' || isNoResponders?.call(error)) return 'gone'
  if (code === 'TIMEOUT' || name === 'TimeoutError' || /timeout/i.test(message)) return 'silent'
  throw new DirectoryUnavailableError(error)
}

/** A key has letters, digits and a few signs only, so that names are written in base64. */
function token(name: string): string {
  return Buffer.from(name).toString('base64url')
}

const entryKey = (id: string) => `clients.${token(id)}`
// An owner's name may be of any length, or empty; a subject may not.
const ownerKey = (owner: string) =>
  `owners.${createHash('sha256').update(owner).digest('base64url')}`
const ownedKey = (owner: string, id: string) => `${ownerKey(owner)}.${token(id)}`
const serverKey = (server: string) => `servers.${server}`
