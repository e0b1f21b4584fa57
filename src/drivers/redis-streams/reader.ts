import { setTimeout as pause } from 'node:timers/promises'
import type { Subscription } from '../../driver.js'
import { isReply, isTransient, refusal } from '../redis/connection.js'
import type { RedisConnection, RedisServer } from '../redis/connection.js'
import { RedisLink } from '../redis/link.js'
import type { RedisTiming } from '../redis/options.js'
import { Backoff } from '../../driver-kit/backoff.js'
import type { Call } from './epoch.js'
import { EntryIdError } from './number.js'
import { parseInfo, START } from './position.js'
import type { StreamInfo } from './position.js'
import { OpenStream } from './stream.js'
import type { Entry, LogEvents, Seen, StreamEvents } from './stream.js'

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
  async open(name: string, events: StreamEvents): Promise<Subscription> {
    const seen = await this.#asked(name, async (control, left) => {
      await this.#reading.get(left)
      return this.#lookInto(control, name, events.log, left)
    })
    const stream = new OpenStream(name, events, seen)
    this.#streams.set(name, stream)
    this.#opened++
    this.#go()
    void this.#wake()
    return { close: async () => this.#forget(stream) }
  }

  /** What a stream says of itself now; undefined where it is not there. */
  async look(name: string): Promise<StreamInfo | undefined> {
    return this.#asked(name, (control, left) => look(this.#call(control, left), name))
  }

  /** Has all streams be looked at with the next read. */
  checkSoon(): void {
    this.#checkAt = 0
  }

  /** Sends commands on the connection that never waits for entries. */
  async commands(): Promise<Call> {
    const control = await this.#control.get(this.timing.subscribeTimeout)
    return this.#call(control, this.timing.pingTimeout)
  }

  async close(): Promise<void> {
    this.#streams.clear()
    this.#go()
    await Promise.all([this.#control.close(), this.#reading.close()])
  }

  /** Asks Redis, also while it is away for a moment or loading what it keeps. */
  async #asked<T>(
    name: string,
    ask: (control: RedisConnection, left: number) => Promise<T>,
  ): Promise<T> {
    const { subscribeTimeout } = this.timing
    const until = performance.now() + subscribeTimeout
    const backoff = new Backoff({ first: 50, cap: 200 })
    for (;;) {
      const control = await this.#control.get(until - performance.now())
      const asking = ask(control, until - performance.now())
      const answer = await asking.catch((error: Error) => error)
      if (!(answer instanceof Error)) return answer
      if (isRefusal(answer)) throw this.#refusal(name, answer)
      const wait = isReply(answer) ? backoff.next() : 0
      if (performance.now() + wait >= until) {
        throw new Error(
          `Redis at ${this.server.where} did not open stream ${JSON.stringify(name)} within ` +
            `${subscribeTimeout} ms (${answer.message}). Check that it is up and reachable.`,
          { cause: answer },
        )
      }
      // Lost, which the next connection mends, or Redis is still loading what it keeps.
      await pause(wait)
    }
  }

  #call(control: RedisConnection, timeout: number): Call {
    return (...command) => this.#control.call(control, command, timeout)
  }

  /** Where a stream ends, once it is sure that this user may read it. */
  async #lookInto(
    control: RedisConnection,
    name: string,
    log: LogEvents | undefined,
    timeout: number,
  ): Promise<Seen> {
    const call = this.#call(control, timeout)
    const [{ info, epoch }] = await Promise.all([
      see(call, name, log),
      call('XREAD', 'COUNT', '1', 'STREAMS', name, END),
    ])
    if (log === undefined) return { info }
    return { info, epoch: await log.settle(call, epoch, info?.last ?? START.id, false) }
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
    const call: Call = (...command) =>
      this.#reading.call(connection, command, this.timing.pingTimeout)
    const looks = [...read].map(async ([stream, entries]) => {
      const seen = await this.#seenSince(call, stream, entries).catch((error: Error) => error)
      return { stream, entries, seen }
    })
    for (const { stream, entries, seen } of await Promise.all(looks)) {
      if (this.#streams.get(stream.name) !== stream) continue
      if (!(seen instanceof Error)) stream.verified(entries, seen)
      else if (isRefusal(seen)) this.#refused(stream, seen)
      else throw seen
    }
  }

  async #seenSince(call: Call, stream: OpenStream, entries: readonly Entry[]): Promise<Seen> {
    const { name, log } = stream
    const { info, epoch } = await see(call, name, log)
    if (log === undefined) return { info }
    const isAnew = stream.isAnew(entries, info)
    return { info, epoch: await log.settle(call, epoch, info?.last ?? START.id, isAnew) }
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
    if (error instanceof EntryIdError) return error
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

/** Whether it is of no use to try again. */
function isRefusal(error: Error): boolean {
  return error instanceof EntryIdError || (isReply(error) && !isTransient(error))
}

/** What a stream says, and the epoch beside it, which is read before: it may be replaced after. */
async function see(call: Call, name: string, log: LogEvents | undefined): Promise<Seen> {
  if (log === undefined) return { info: await look(call, name) }
  const [epoch, info] = await Promise.all([call('GET', log.key), look(call, name)])
  return { info, epoch: (epoch as Buffer | null)?.toString() }
}

/** What a stream says of itself, or undefined where it is not there. */
export async function look(call: Call, name: string): Promise<StreamInfo | undefined> {
  try {
    return parseInfo(await call('XINFO', 'STREAM', name))
  } catch (error) {
    if (isReply(error) && /no such key/i.test(error.message)) return undefined
    throw error
  }
}
