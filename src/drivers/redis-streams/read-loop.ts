import { ask } from '../../brokers/redis/connect.js'
import type { RedisLink } from '../../brokers/redis/connect.js'
import type { RedisConnection } from '../../brokers/redis/connection.js'
import type { RedisTiming } from '../../brokers/redis/options.js'
import { isReply, outlook } from '../../brokers/redis/replies.js'
import type { Call } from './epoch.js'
import { lookAgain, tryRead } from './look.js'
import { endsStream, streamRefusal } from './refusal.js'
import type { Entry, OpenStream } from './stream.js'

/** How many entries of one stream are read at once, at most. */
const MOST = 100

/** How often a read that does not wait yet is told to stop waiting. */
const TRIES = 20

/** A read that Redis has not answered yet. */
interface WaitingRead {
  /** How many streams had been opened when it was sent. */
  opened: number
  answered: Promise<unknown>
}

/** What XREAD answers: a list of streams with entries, or null when its time is over. */
type Reply = [key: Buffer, entries: Entry[]][] | null

/**
 * Reads all open streams with one XREAD after the other, each of which waits for entries. It has a
 * connection of its own, since a connection on which a read waits answers nothing else.
 */
export class ReadLoop {
  readonly #streams = new Map<string, OpenStream>()
  /** How many streams have been opened so far. */
  #opened = 0
  #count = MOST
  /** When all streams are looked at next, by `performance.now()`. */
  #checkAt = 0
  #waiting: WaitingRead | undefined
  /** What CLIENT UNBLOCK calls the connection. */
  #clientId: string | undefined
  #isWaking = false
  /** What Redis has said that nobody knows, and the streams have been told. */
  #told: string | undefined
  #go: () => void = () => undefined

  /**
   * @param link The connection that reads.
   * @param control Another one, on which a read that waits is ended.
   * @param checkInterval How often all streams are looked at, in milliseconds.
   */
  constructor(
    private readonly link: RedisLink,
    private readonly control: RedisLink,
    private readonly timing: Pick<RedisTiming, 'pingInterval' | 'pingTimeout'>,
    private readonly checkInterval: number,
  ) {
    link.on({ up: (connection) => void this.#run(connection) })
  }

  /** Reads one more stream, from now on. */
  add(stream: OpenStream): void {
    this.#streams.set(stream.name, stream)
    this.#opened++
    this.#go()
    void this.#wake()
  }

  remove(stream: OpenStream): void {
    if (this.#streams.get(stream.name) === stream) this.#streams.delete(stream.name)
  }

  /** Ends all streams, which are told why. */
  endAll(error: Error): void {
    for (const stream of [...this.#streams.values()]) this.#end(stream, error)
  }

  /** Has all streams be looked at with the next read. */
  checkSoon(): void {
    this.#checkAt = 0
  }

  /** Reads no stream any more. Its connections are closed by whoever has made them. */
  stop(): void {
    this.#streams.clear()
    this.#go()
  }

  /** Reads on one connection for as long as it lives. */
  async #run(connection: RedisConnection): Promise<void> {
    let reason: unknown
    try {
      this.#clientId = await this.#whoAmI(connection)
      this.#checkAt = 0
      while (this.link.current === connection) {
        if (this.#streams.size === 0) {
          await Promise.race([new Promise<void>((go) => (this.#go = go)), connection.lost])
          continue
        }
        if (performance.now() >= this.#checkAt) await this.#check(connection)
        if (this.#streams.size > 0) await this.#readOnce(connection)
        this.#told = undefined
      }
    } catch (error) {
      reason = error
      // An answer that was too long to come in time comes in smaller parts.
      this.#count = Math.max(1, Math.floor(this.#count / 4))
      this.#tellUnknown(error)
    } finally {
      // The next connection goes on from where every stream stands.
      this.link.lose(connection, reason)
      this.#waiting = undefined
    }
  }

  async #readOnce(connection: RedisConnection): Promise<void> {
    const { pingInterval, pingTimeout } = this.timing
    const streams = new Map(this.#streams)
    const count = this.#count
    const command = ['XREAD', 'COUNT', String(count), 'BLOCK', String(pingInterval), 'STREAMS']
    command.push(...streams.keys())
    for (const stream of streams.values()) command.push(stream.after)
    const answered = ask(this.link, connection, command, pingInterval + pingTimeout)
    this.#waiting = { opened: this.#opened, answered }
    const reply = await answered.catch((error: unknown) => this.#sortOut(connection, error))
    this.#waiting = undefined
    await this.#deliver(connection, streams, reply as Reply)
    this.#count = Math.min(MOST, count * 2)
  }

  #call(connection: RedisConnection): Call {
    return (...command) => ask(this.link, connection, command, this.timing.pingTimeout)
  }

  /** What others call this connection. Who may not know it has to wait for a read to end. */
  async #whoAmI(connection: RedisConnection): Promise<string | undefined> {
    try {
      return String(await this.#call(connection)('CLIENT', 'ID'))
    } catch (error) {
      if (isReply(error) && outlook(error) !== 'transient') return undefined
      throw error
    }
  }

  /**
   * Hands on what was read, after a look at each stream that has entries: no read tells what was
   * trimmed or deleted before it, and the gap has to stand before what follows it.
   */
  async #deliver(
    connection: RedisConnection,
    read: ReadonlyMap<string, OpenStream>,
    reply: Reply,
  ): Promise<void> {
    const found = new Map<OpenStream, Entry[]>()
    for (const [key, entries] of reply ?? []) {
      const stream = read.get(String(key))
      // It may have been closed, and opened anew, since.
      if (stream === undefined || this.#streams.get(stream.name) !== stream) continue
      found.set(stream, entries)
    }
    if (found.size > 0) await this.#verify(connection, found)
  }

  /** Looks at every stream, to see what no read tells: one deleted, or begun anew with low ids. */
  async #check(connection: RedisConnection): Promise<void> {
    const streams = [...this.#streams.values()]
    await this.#verify(connection, new Map(streams.map((stream) => [stream, []])))
    this.#checkAt = performance.now() + this.checkInterval
  }

  async #verify(connection: RedisConnection, read: ReadonlyMap<OpenStream, Entry[]>) {
    const call = this.#call(connection)
    const looks = [...read].map(async ([stream, entries]) => {
      const seen = await lookAgain(call, stream, entries).catch((error: Error) => error)
      return { stream, entries, seen }
    })
    for (const { stream, entries, seen } of await Promise.all(looks)) {
      if (this.#streams.get(stream.name) !== stream) continue
      if (!(seen instanceof Error)) stream.verified(entries, seen)
      else if (endsStream(seen)) this.#refused(stream, seen)
      else throw seen
    }
  }

  /**
   * Ends the streams that Redis refuses to read. Its answer to XREAD is about all of them at once, so
   * each is tried alone.
   */
  async #sortOut(connection: RedisConnection, error: unknown): Promise<null> {
    if (!endsStream(error)) throw error
    const call = this.#call(connection)
    const trials = [...this.#streams.values()].map(async (stream) => {
      const outcome = await tryRead(call, stream.name).catch((reason: Error) => reason)
      if (!(outcome instanceof Error)) return false
      if (!endsStream(outcome)) throw outcome
      this.#refused(stream, outcome)
      return true
    })
    const ended = await Promise.all(trials)
    if (!ended.includes(true)) throw error
    return null
  }

  /** Has the read that waits start anew, with the streams opened since. */
  async #wake(): Promise<void> {
    if (this.#isWaking) return
    this.#isWaking = true
    try {
      for (let tries = 0; tries < TRIES;) {
        const waiting = this.#waiting
        const control = this.control.current
        const id = this.#clientId
        if (!waiting || waiting.opened === this.#opened || !control || id === undefined) return
        const unblocked = await control.call(['CLIENT', 'UNBLOCK', id]).catch(() => undefined)
        // Not allowed, or the link is lost: the read ends by itself, after a pingInterval at most.
        if (unblocked === undefined) return
        // 0: the read has not come to wait yet, or no longer waits.
        if (unblocked === 0) tries++
        else await waiting.answered.catch(() => undefined)
      }
    } finally {
      this.#isWaking = false
    }
  }

  /** Tells the log, once, what Redis says where it is not known whether that passes. */
  #tellUnknown(error: unknown): void {
    if (outlook(error) !== 'unknown' || this.#told === (error as Error).message) return
    this.#told = (error as Error).message
    const reason = `Redis at ${this.link.where} did not let it be read (${this.#told}). It is tried again.`
    for (const stream of [...this.#streams.values()]) stream.gap(reason)
  }

  #refused(stream: OpenStream, error: Error): void {
    this.#end(stream, streamRefusal(stream.name, this.link.where, error))
  }

  #end(stream: OpenStream, error: Error): void {
    this.remove(stream)
    stream.fail(error)
  }
}
