import { setTimeout as pause } from 'node:timers/promises'
import type { Subscription } from '../../driver.js'
import { isReply, isTransient, refusal } from '../redis/connection.js'
import type { RedisConnection, RedisServer } from '../redis/connection.js'
import { RedisLink } from '../redis/link.js'
import type { RedisTiming } from '../redis/options.js'
import { Backoff } from '../toolbox/backoff.js'
import type { SourceEvents } from '../toolbox/sources.js'
import { parseInfo } from './position.js'
import { OpenStream } from './stream.js'
import type { Entry, RedisStreamMessage } from './stream.js'

/** How many entries of one stream are read at once, at most. */
const MOST = 100

/** How often a read that does not wait yet is told to stop waiting. */
const TRIES = 20

/** No entry has a higher id than this, so that a read of what follows it finds nothing. */
const END = '18446744073709551615-18446744073709551615'

/** A read that Redis has not answered yet. */
interface Read {
  streams: ReadonlyMap<string, OpenStream>
  /** How many streams had been opened when it was sent. */
  opened: number
  answered: Promise<unknown>
}

/**
 * Reads any number of streams with one command that waits, on a connection of its own. On
 * another one, streams are looked up, and the read is told to start anew with one more of them.
 */
export class StreamsReader {
  readonly #streams = new Map<string, OpenStream>()
  readonly #control: RedisLink
  readonly #reading: RedisLink
  #opened = 0
  #count = MOST
  #checkAt = 0
  #read: Read | undefined
  #clientId: string | undefined
  #waking = false
  #go: () => void = () => undefined

  constructor(
    private readonly server: RedisServer,
    private readonly timing: RedisTiming,
    private readonly checkInterval: number,
  ) {
    const { connectTimeout, pingInterval, pingTimeout } = timing
    const over = (error: Error) => {
      for (const stream of [...this.#streams.values()]) this.#end(stream, error)
    }
    this.#control = new RedisLink(server, { connectTimeout, pingInterval, pingTimeout }, { over })
    // A read that waits is answered in time, so that nothing else need ask whether it lives.
    this.#reading = new RedisLink(
      server,
      { connectTimeout, pingTimeout },
      { over, up: (connection) => void this.#run(connection) },
    )
  }

  async connect(timeout: number): Promise<void> {
    await Promise.all([this.#control.get(timeout), this.#reading.get(timeout)])
  }

  /** Reads a stream from its present end. */
  async open(name: string, events: SourceEvents<RedisStreamMessage>): Promise<Subscription> {
    const { subscribeTimeout } = this.timing
    const until = performance.now() + subscribeTimeout
    const backoff = new Backoff({ first: 50, cap: 200 })
    for (;;) {
      const left = until - performance.now()
      await this.connect(left)
      const control = await this.#control.get(left)
      const looking = this.#lookInto(control, name, until - performance.now())
      const info = await looking.catch((error: Error) => error)
      if (info instanceof Error) {
        if (isReply(info) && !isTransient(info)) throw this.#refusal(name, info)
        const wait = isReply(info) ? backoff.next() : 0
        if (performance.now() + wait < until) {
          // Lost, which the next connection mends, or Redis is still loading what it keeps.
          await pause(wait)
          continue
        }
        throw new Error(
          `Redis at ${this.server.where} did not open stream ${JSON.stringify(name)} within ` +
            `${subscribeTimeout} ms (${info.message}). Check that it is up and reachable.`,
          { cause: info },
        )
      }
      const stream = new OpenStream(name, events, info)
      this.#streams.set(name, stream)
      this.#opened++
      this.#go()
      void this.#wake()
      return { close: async () => this.#forget(stream) }
    }
  }

  async close(): Promise<void> {
    this.#streams.clear()
    this.#go()
    await Promise.all([this.#control.close(), this.#reading.close()])
  }

  /** Where a stream ends, once it is sure that this user may read it. */
  async #lookInto(connection: RedisConnection, name: string, timeout: number) {
    const probe = ['XREAD', 'COUNT', '1', 'STREAMS', name, END]
    const [info] = await Promise.all([
      this.#look(this.#control, connection, name, timeout),
      this.#control.call(connection, probe, timeout),
    ])
    return info
  }

  async #look(link: RedisLink, connection: RedisConnection, name: string, timeout: number) {
    try {
      return parseInfo(await link.call(connection, ['XINFO', 'STREAM', name], timeout))
    } catch (error) {
      if (isReply(error) && /no such key/i.test(error.message)) return undefined
      throw error
    }
  }

  /** Reads on one connection for as long as it lives. */
  async #run(connection: RedisConnection): Promise<void> {
    const { pingInterval, pingTimeout } = this.timing
    try {
      this.#clientId = await this.#whoAmI(connection)
      this.#checkAt = 0
      while (this.#reading.current === connection) {
        if (this.#streams.size === 0) {
          await Promise.race([new Promise<void>((go) => (this.#go = go)), connection.lost])
          continue
        }
        if (performance.now() >= this.#checkAt) await this.#check(connection)
        const streams = new Map(this.#streams)
        if (streams.size === 0) continue
        const count = this.#count
        const command = ['XREAD', 'COUNT', String(count), 'BLOCK', String(pingInterval), 'STREAMS']
        command.push(...streams.keys())
        for (const stream of streams.values()) command.push(stream.after)
        const answered = this.#reading.call(connection, command, pingInterval + pingTimeout)
        this.#read = { streams, opened: this.#opened, answered }
        const reply = await answered.catch((error: unknown) => this.#sortOut(connection, error))
        this.#read = undefined
        await this.#deliver(connection, streams, reply as [Buffer, Entry[]][] | null, count)
        this.#count = Math.min(MOST, count * 2)
      }
    } catch {
      // Lost, or of no use: the next one goes on from where every stream stands. An answer that
      // was too long to come in time comes in smaller parts.
      this.#count = Math.max(1, Math.floor(this.#count / 4))
      this.#reading.lose(connection)
    } finally {
      if (this.#reading.current === connection) this.#reading.lose(connection)
      this.#read = undefined
    }
  }

  /** What others call this connection. Who may not know it has to wait for a read to end. */
  async #whoAmI(connection: RedisConnection): Promise<string | undefined> {
    const { pingTimeout } = this.timing
    const asking = this.#reading.call(connection, ['CLIENT', 'ID'], pingTimeout)
    return asking.then(String, (error: unknown) => {
      if (isReply(error) && !isTransient(error)) return undefined
      throw error
    })
  }

  /** Hands on what was read, after a closer look where something may be missing. */
  async #deliver(
    connection: RedisConnection,
    asked: ReadonlyMap<string, OpenStream>,
    reply: [key: Buffer, entries: Entry[]][] | null,
    most: number,
  ): Promise<void> {
    const suspects = new Map<OpenStream, Entry[]>()
    for (const [key, entries] of reply ?? []) {
      const stream = asked.get(String(key))
      // It may have been closed, and opened anew, since.
      if (stream === undefined || this.#streams.get(stream.name) !== stream) continue
      if (stream.isSuspect(entries, most)) suspects.set(stream, entries)
      else stream.read(entries)
    }
    if (suspects.size > 0) await this.#verify(connection, suspects)
  }

  /** Looks at every stream, to see what no read tells: one deleted, or begun anew with low ids. */
  async #check(connection: RedisConnection): Promise<void> {
    const streams = [...this.#streams.values()]
    await this.#verify(connection, new Map(streams.map((stream) => [stream, []])))
    this.#checkAt = performance.now() + this.checkInterval
  }

  async #verify(connection: RedisConnection, read: ReadonlyMap<OpenStream, Entry[]>) {
    const timeout = this.timing.pingTimeout
    const looks = [...read].map(async ([stream, entries]) => {
      const looking = this.#look(this.#reading, connection, stream.name, timeout)
      const info = await looking.catch((error: Error) => error)
      return { stream, entries, info }
    })
    for (const { stream, entries, info } of await Promise.all(looks)) {
      if (this.#streams.get(stream.name) !== stream) continue
      if (!(info instanceof Error)) stream.verified(entries, info)
      else if (isReply(info) && !isTransient(info)) this.#refused(stream, info)
      else throw info
    }
  }

  /** Redis refused to read all of the streams for the sake of one, and does not say of which. */
  async #sortOut(connection: RedisConnection, error: unknown): Promise<null> {
    if (!isReply(error) || isTransient(error)) throw error
    let found = false
    const probes = [...this.#streams.values()].map(async (stream) => {
      const command = ['XREAD', 'COUNT', '1', 'STREAMS', stream.name, END]
      const probing = this.#reading.call(connection, command, this.timing.pingTimeout)
      const outcome = await probing.catch((reason: Error) => reason)
      if (!(outcome instanceof Error)) return
      if (!isReply(outcome) || isTransient(outcome)) throw outcome
      found = true
      this.#refused(stream, outcome)
    })
    await Promise.all(probes)
    if (!found) throw error
    return null
  }

  /** Has the read that waits start anew, with the streams opened since. */
  async #wake(): Promise<void> {
    if (this.#waking) return
    this.#waking = true
    try {
      for (let tries = 0; tries < TRIES;) {
        const read = this.#read
        const control = this.#control.current
        const id = this.#clientId
        if (!read || read.opened === this.#opened || !control || id === undefined) return
        const unblocked = await control.call(['CLIENT', 'UNBLOCK', id]).catch(() => undefined)
        // Not allowed, or the link is lost: the read ends by itself, after a pingInterval at most.
        if (unblocked === undefined) return
        // It may not have come to wait yet, or no longer: then once more.
        if (unblocked === 0) tries++
        else await read.answered.catch(() => undefined)
      }
    } finally {
      this.#waking = false
    }
  }

  #refused(stream: OpenStream, error: Error): void {
    this.#end(stream, this.#refusal(stream.name, error))
  }

  #refusal(name: string, error: Error): Error {
    return refusal(`stream ${JSON.stringify(name)}`, this.server.where, error)
  }

  #end(stream: OpenStream, error: Error): void {
    this.#forget(stream)
    stream.fail(error)
  }

  #forget(stream: OpenStream): void {
    if (this.#streams.get(stream.name) === stream) this.#streams.delete(stream.name)
  }
}
