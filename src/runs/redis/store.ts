import { randomUUID } from 'node:crypto'
import { ask, askUntil, redisLink } from '../../brokers/redis/connect.js'
import type { RedisLink } from '../../brokers/redis/connect.js'
import type { RedisConnection, RedisServer } from '../../brokers/redis/connection.js'
import { isReply } from '../../brokers/redis/replies.js'
import { StreamerClosedError } from '../../errors.js'
import type { RunEnd } from '../ending.js'
import { NoRunError, RunStoreError, TooManyRunsError } from '../errors.js'
import type { RunFeed } from '../feed.js'
import type { Acquire, GoneRecord, Lease, LeaseHolder, RunRecord, RunStore } from '../store.js'
import { KeptFeed } from './feeds.js'
import { batchesFrom, recordFrom } from './records.js'
import type { Script } from './scripts.js'
import * as scripts from './scripts.js'

export interface RedisRunsSettings {
  prefix: string
  lease: number
  timeout: number
  connectTimeout: number
}

/** For how long a feed is kept that nobody reads here, in milliseconds. */
const LINGER = 5_000
/** How many batches one read gives. */
const MOST = 500

/** A run that is produced by this server. */
interface Held {
  readonly lease: Lease
  readonly holder: LeaseHolder
  /** The place of the last batch that was given to Redis. */
  seq: number
  /** How many messages its producer was told. */
  told: number
}

/** A batch that waits to be written together with others. */
interface Waiting {
  readonly args: readonly (string | Buffer)[]
  readonly written: (held: boolean) => void
  readonly failed: (error: unknown) => void
}

/** See `redisRuns`. */
export class RedisStore implements RunStore {
  readonly maxDelay = 20
  readonly #name = randomUUID()
  /** Two connections: on one that has subscribed, Redis takes no other commands. */
  readonly #commands: RedisLink
  readonly #messages: RedisLink
  readonly #held = new Map<string, Held>()
  readonly #feeds = new Map<string, KeptFeed>()
  readonly #lingering = new Map<string, NodeJS.Timeout>()
  #waiting: Waiting[] = []
  #writing = false
  #beat: NodeJS.Timeout | undefined
  #beating = false
  #closed = false

  constructor(
    server: RedisServer,
    private readonly settings: RedisRunsSettings,
  ) {
    const { lease, timeout, connectTimeout } = settings
    const timing = { connectTimeout, pingTimeout: timeout }
    this.#commands = redisLink(server, timing)
    this.#messages = redisLink(server, { ...timing, pingInterval: lease / 3 })
    this.#messages.on({
      up: (connection) => {
        this.#listen(connection).catch(() => this.#messages.lose(connection, new Error('refused')))
      },
    })
  }

  async acquire(
    request: Acquire,
  ): Promise<{ lease: Lease } | { found: RunRecord | GoneRecord } | undefined> {
    await this.#open()
    const { key, id, owner, limits, holder } = request
    const forever = (time: number) => String(Math.min(Math.ceil(time), scripts.FOREVER))
    const most = (limit: number) => String(Math.min(limit, Number.MAX_SAFE_INTEGER))
    const reply = (await this.#run(scripts.ACQUIRE, [
      key,
      id,
      owner === undefined ? '0' : '1',
      owner ?? '',
      request.resume ? '1' : '0',
      most(limits.maxRuns),
      most(limits.maxRunsPerOwner),
      forever(request.keep),
      forever(request.maxPause),
      String(this.settings.lease),
      this.#name,
      randomUUID(),
    ])) as [Buffer, ...unknown[]]
    const [kind, ...rest] = reply
    switch (String(kind)) {
      case 'foreign':
        throw new NoRunError()
      case 'none':
        return undefined
      case 'full':
        throw new TooManyRunsError(String(rest[0]), Number(rest[1]))
      case 'found':
        return { found: recordFrom(rest[0])! }
      default: {
        const [granted, term, parts, bytes, seq, told] = rest.map(String)
        const lease: Lease = {
          id: granted!,
          key,
          owner,
          term: Number(term),
          parts: Number(parts),
          bytes: Number(bytes),
        }
        this.#held.set(lease.id, { lease, holder, seq: Number(seq), told: Number(told) })
        // What it was told before is handed over.
        if (request.resume) this.#renewSoon()
        return { lease }
      }
    }
  }

  append(lease: Lease, batch: Buffer, kept: number, bytes: number): Promise<boolean> {
    const held = this.#heldBy(lease)
    if (held === undefined) return Promise.resolve(false)
    const seq = ++held.seq
    return new Promise<boolean>((resolve, reject) => {
      const args = [lease.id, String(lease.term), String(seq), String(kept), String(bytes), batch]
      const written = (isHeld: boolean) => {
        if (isHeld) this.#feeds.get(lease.id)?.take(seq, batch)
        else this.#held.delete(lease.id)
        resolve(isHeld)
      }
      this.#waiting.push({ args, written, failed: reject })
      // All runs that write in this turn are written by one command.
      if (this.#waiting.length === 1 && !this.#writing) setImmediate(() => void this.#write())
    })
  }

  async waiting(lease: Lease, isWaiting: boolean): Promise<void> {
    const state = isWaiting ? 'waiting' : 'running'
    await this.#run(scripts.WAITING, [lease.id, String(lease.term), state])
  }

  async end(lease: Lease, end: RunEnd): Promise<boolean> {
    this.#held.delete(lease.id)
    const args = [lease.id, String(lease.term), JSON.stringify(end)]
    return Number(await this.#run(scripts.END, args, this.settings.lease)) === 1
  }

  async pause(lease: Lease, unread: number): Promise<boolean> {
    const held = this.#heldBy(lease)
    if (held === undefined) return false
    this.#held.delete(lease.id)
    const stopped = JSON.stringify({ kind: 'stopped' } satisfies RunEnd)
    const args = [lease.id, String(lease.term), String(held.told - unread), stopped]
    return Number(await this.#run(scripts.PAUSE, args, this.settings.lease)) === 1
  }

  async find(key: string): Promise<RunRecord | GoneRecord | undefined> {
    return recordFrom(await this.#run(scripts.FIND, [key]))
  }

  async get(id: string): Promise<RunRecord | GoneRecord | undefined> {
    return recordFrom(await this.#run(scripts.GET, [id]))
  }

  async stop(id: string): Promise<RunRecord['state'] | undefined> {
    const stopped = JSON.stringify({ kind: 'stopped' } satisfies RunEnd)
    const state = (await this.#run(scripts.STOP, [id, stopped])) as Buffer | null
    // A run of this server's hears it even while messages do not arrive.
    this.#held.get(id)?.holder.stop()
    return state === null ? undefined : (state.toString() as RunRecord['state'])
  }

  async tell(id: string, message: string): Promise<number | undefined> {
    const number = await this.#run(scripts.TELL, [id, `${randomUUID()}\n${message}`])
    return number === null ? undefined : Number(number)
  }

  async list(prefix: string, owner: string): Promise<readonly RunRecord[]> {
    const all = (await this.#run(scripts.LIST, [owner])) as unknown[]
    return all
      .map(recordFrom)
      .filter((run): run is RunRecord => run !== undefined && run.state !== 'expired')
      .filter(({ key }) => key.startsWith(prefix))
  }

  async feed(id: string, through = 0): Promise<RunFeed | undefined> {
    await this.#open()
    const known = this.#feeds.get(id)
    if (known !== undefined) {
      // Another server may have shown its readers more than has arrived here.
      if (known.feed.end === undefined && known.feed.log.count < through) await known.load()
      this.#lingerOn(known)
      return known.feed
    }
    const kept = new KeptFeed(id, this.#source, (feed, readers) => this.#watched(feed, readers))
    this.#feeds.set(id, kept)
    this.#lingerOn(kept)
    try {
      const connection = await this.#messages.get(this.settings.timeout)
      await this.#subscribe(connection, kept)
      await kept.load()
    } catch (error) {
      this.#drop(id)
      throw error instanceof RunStoreError ? error : new RunStoreError(error)
    }
    return kept.feed
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    clearInterval(this.#beat)
    for (const timer of this.#lingering.values()) clearTimeout(timer)
    for (const { feed } of this.#feeds.values()) feed.close()
    this.#feeds.clear()
    for (const { failed } of this.#waiting.splice(0)) failed(new StreamerClosedError())
    await Promise.all([this.#commands.close(), this.#messages.close()])
  }

  readonly #source = {
    most: MOST,
    batches: async (id: string, after: number) => {
      const range = ['XRANGE', this.#key('log', id), `${after + 1}-0`, '+', 'COUNT', String(MOST)]
      return batchesFrom(await this.#ask((connection) => this.#reply(connection, range)))
    },
    end: async (id: string) => {
      const run = await this.get(id)
      return run === undefined || run.state === 'expired' ? undefined : run.end
    },
    // The next look finds out again.
    failed: (error: unknown) => void error,
  }

  #key(kind: string, id: string): string {
    return `${this.settings.prefix}${kind}:${id}`
  }

  #heldBy({ id, term }: Lease): Held | undefined {
    const held = this.#held.get(id)
    return held?.lease.term === term ? held : undefined
  }

  /** Has this server heard, from the first call on. */
  async #open(): Promise<void> {
    if (this.#closed) throw new StreamerClosedError()
    if (this.#beat !== undefined) return
    this.#beat = setInterval(() => void this.#look(), this.settings.lease / 3).unref()
    try {
      await this.#messages.get(this.settings.connectTimeout)
    } catch (error) {
      clearInterval(this.#beat)
      this.#beat = undefined
      throw new RunStoreError(error)
    }
  }

  /** A new connection for messages: has it get all that is read and produced here. */
  async #listen(connection: RedisConnection): Promise<void> {
    await connection.subscribe(this.#key('server', this.#name), () => {
      this.#messages.heard()
      this.#renewSoon()
    })
    for (const kept of this.#feeds.values()) {
      await this.#subscribe(connection, kept)
      kept.reload()
    }
  }

  async #subscribe(connection: RedisConnection, kept: KeptFeed): Promise<void> {
    await connection.subscribe(this.#key('feed', kept.id), (message) => {
      this.#messages.heard()
      const colon = message.indexOf(':')
      if (colon < 0) kept.reload()
      else {
        const seq = Number(message.toString('latin1', 0, colon))
        kept.take(seq, message.subarray(colon + 1))
      }
    })
  }

  async #write(): Promise<void> {
    this.#writing = true
    while (this.#waiting.length > 0) {
      const batches = this.#waiting.splice(0, MOST)
      const args = batches.flatMap(({ args }) => args)
      try {
        const answers = (await this.#run(scripts.APPEND, args, this.settings.lease)) as number[]
        for (const [at, { written }] of batches.entries()) written(Number(answers[at]) === 1)
      } catch (error) {
        for (const { failed } of batches) failed(error)
      }
    }
    this.#writing = false
  }

  /** Renews the leases, compares the feeds with Redis, and ends the runs whose producers are gone. */
  async #look(): Promise<void> {
    if (this.#beating) return
    this.#beating = true
    try {
      await this.#renew()
      const feeds = [...this.#feeds.values()]
      const args = feeds.flatMap(({ id, feed }) => [id, String(feed.readers)])
      const till = String(this.settings.lease)
      const answers = (await this.#run(scripts.LOOK, [this.#name, till, ...args])) as [
        number,
        number,
      ][]
      for (const [at, [seq, isEnded]] of answers.entries()) {
        feeds[at]!.compare(Number(seq), Number(isEnded) === 1)
      }
    } catch (error) {
      // Redis is away: the next beat tries again.
      void error
    } finally {
      this.#beating = false
    }
  }

  #renewSoon(): void {
    setImmediate(() => void this.#renew().catch((error: unknown) => void error))
  }

  #renewing: Promise<void> = Promise.resolve()

  /** One after the other, so that each message is told once. */
  #renew(): Promise<void> {
    const next = this.#renewing.then(() => this.#renewNow())
    this.#renewing = next.catch((error: unknown) => void error)
    return next
  }

  async #renewNow(): Promise<void> {
    const all = [...this.#held.values()]
    if (all.length === 0 || this.#closed) return
    const args = all.flatMap(({ lease, told }) => [lease.id, String(lease.term), String(told)])
    const reply = await this.#run(scripts.RENEW, [String(this.settings.lease), ...args])
    const answers = reply as [number, number, number, Buffer[]][]
    for (const [at, [isHeld, stops, readers, messages]] of answers.entries()) {
      const held = all[at]!
      if (this.#held.get(held.lease.id) !== held) continue
      if (Number(isHeld) !== 1) {
        this.#held.delete(held.lease.id)
        held.holder.lost()
        continue
      }
      held.holder.readers(Number(readers))
      for (const message of messages) {
        held.told++
        const text = message.toString()
        held.holder.told(text.slice(text.indexOf('\n') + 1))
      }
      if (Number(stops) === 1) held.holder.stop()
    }
  }

  #watched(kept: KeptFeed, readers: number): void {
    if (readers === 0) this.#lingerOn(kept)
  }

  /** Forgets a feed that nobody reads for a while. */
  #lingerOn(kept: KeptFeed): void {
    clearTimeout(this.#lingering.get(kept.id))
    const look = () => {
      this.#lingering.delete(kept.id)
      if (kept.feed.readers === 0) this.#drop(kept.id)
    }
    this.#lingering.set(kept.id, setTimeout(look, LINGER).unref())
  }

  #drop(id: string): void {
    clearTimeout(this.#lingering.get(id))
    this.#lingering.delete(id)
    this.#feeds.delete(id)
    this.#messages.current?.unsubscribe(this.#key('feed', id)).catch((error: unknown) => void error)
  }

  async #run(
    { sha, text }: Script,
    args: readonly (string | Buffer)[],
    timeout = this.settings.timeout,
  ): Promise<unknown> {
    const { prefix } = this.settings
    const rest = ['1', `${prefix}live`, prefix, ...args]
    return this.#ask(async (connection) => {
      try {
        return await this.#reply(connection, ['EVALSHA', sha, ...rest])
      } catch (error) {
        if (!isReply(error) || !error.message.startsWith('NOSCRIPT')) throw error
        return this.#reply(connection, ['EVAL', text, ...rest])
      }
    }, timeout)
  }

  async #ask<T>(
    question: (connection: RedisConnection) => Promise<T>,
    timeout = this.settings.timeout,
  ): Promise<T> {
    if (this.#closed) throw new StreamerClosedError()
    try {
      return await askUntil(this.#commands, performance.now() + timeout, question, {
        explain: (error) => error,
      })
    } catch (error) {
      throw new RunStoreError(error)
    }
  }

  #reply(connection: RedisConnection, command: readonly (string | Buffer)[]): Promise<unknown> {
    return ask(this.#commands, connection, command, this.settings.timeout)
  }
}
