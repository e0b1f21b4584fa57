import { OptionsError } from '../errors.js'
import { callback, checkOptions, methods, text } from '../option-checks.js'
import { Producer } from './producer.js'
import type { ReadEnd, ReadPart } from './reading.js'
import { FeedReading } from './reading.js'
import type { RedisTarget } from './redis.js'
import { redisRuns } from './redis.js'
import type { Run } from './run.js'
import type { RunStore } from './store.js'

/** Options of `createResumableStreamContext`, as `resumable-stream` has them, and `store`. */
export interface ResumableStreamOptions {
  /** What the names of the streams begin with. Default: `resumable-stream`. */
  keyPrefix?: string
  /**
   * Is given a promise that settles when a stream is over, so that a platform keeps the process until
   * then. Null where nothing suspends it.
   */
  waitUntil: ((promise: Promise<unknown>) => void) | null
  /** Where streams are kept. Default: Redis, by `publisher`, or by `REDIS_URL` or `KV_URL`. */
  store?: RunStore
  /** A client of `redis` or `ioredis`, whose settings are taken for connections of our own. */
  publisher?: unknown
  /** Taken for what it is in `resumable-stream`; ours makes its own connections. */
  subscriber?: unknown
}

/** What `createResumableStreamContext` of `resumable-stream` gives. */
export interface ResumableStreamContext {
  /**
   * The stream of this id: the one that goes on, from its beginning or behind `skipCharacters`, or a new
   * one. Null if it is done.
   */
  resumableStream(
    streamId: string,
    makeStream: () => ReadableStream<string>,
    skipCharacters?: number,
  ): Promise<ReadableStream<string> | null>
  /** The stream of this id. Null if it is done, undefined if there is none. */
  resumeExistingStream(
    streamId: string,
    skipCharacters?: number,
  ): Promise<ReadableStream<string> | null | undefined>
  /** A new stream. One of this id that goes on is given in its place. */
  createNewResumableStream(
    streamId: string,
    makeStream: () => ReadableStream<string>,
    skipCharacters?: number,
  ): Promise<ReadableStream<string> | null>
  hasExistingStream(streamId: string): Promise<null | true | 'DONE'>
  /** Ends what is produced here, and closes the connections. */
  close(): Promise<void>
}

/** For how long a stream is known to be done: that of `resumable-stream`, 24 hours. */
const KEEP = 24 * 60 * 60 * 1000

/**
 * The functions of `resumable-stream`, on runs: what was written is in the store and not in its
 * producer's memory alone, and a reader is told when the producer's server is gone.
 *
 * @throws OptionsError
 */
export function createResumableStreamContext(
  options: ResumableStreamOptions,
): ResumableStreamContext {
  const caller = 'createResumableStreamContext'
  checkOptions(caller, options, {
    keyPrefix: text,
    waitUntil: [(value) => value === null || callback()[0](value), 'a function, or null'],
    store: methods('acquire', 'append', 'end', 'find', 'feed'),
    publisher: methods('duplicate'),
    subscriber: methods('duplicate'),
  })
  const { keyPrefix = 'resumable-stream', waitUntil } = options
  const streams = new Streams(options.store ?? redisFor(options), {
    prefix: `${keyPrefix}:`,
    keep: KEEP,
    maxRunsPerOwner: Infinity,
    maxIdle: Infinity,
    maxAge: KEEP,
  })
  const make = (name: string, stream: () => ReadableStream<string>, skip: number | undefined) =>
    streams.make(name, stream, skip, waitUntil)
  return {
    async resumableStream(streamId, makeStream, skipCharacters) {
      const there = await streams.state(streamId)
      return there === 'DONE' ? null : make(streamId, makeStream, skipCharacters)
    },
    createNewResumableStream: make,
    async resumeExistingStream(streamId, skipCharacters) {
      const there = await streams.state(streamId)
      if (there === null) return undefined
      return there === 'DONE' ? null : streams.open(streamId, skipCharacters)
    },
    hasExistingStream: (streamId) => streams.state(streamId),
    close: () => streams.close(),
  }
}

function redisFor({ publisher }: ResumableStreamOptions): RunStore {
  const target = publisher ?? process.env['REDIS_URL'] ?? process.env['KV_URL']
  if (target === undefined) {
    throw new OptionsError(
      'createResumableStreamContext takes a store, a publisher, or the address of Redis in the ' +
        'environment as REDIS_URL or KV_URL.',
    )
  }
  return redisRuns(target as RedisTarget)
}

class Streams extends Producer {
  async state(name: string): Promise<null | true | 'DONE'> {
    const run = await this.current(name, {})
    if (run === undefined) return null
    return run.state === 'expired' || run.state === 'ended' ? 'DONE' : true
  }

  async make(
    name: string,
    makeStream: () => ReadableStream<string>,
    skip: number | undefined,
    waitUntil: ResumableStreamOptions['waitUntil'],
  ): Promise<ReadableStream<string>> {
    let over!: () => void
    const lasting = new Promise<void>((resolve) => (over = resolve))
    const { id, started } = await this.start(name, async (run) => {
      try {
        await copy(makeStream(), run)
      } finally {
        over()
      }
    })
    if (started) waitUntil?.(lasting)
    return this.reading(id, started ? 0 : skip)
  }

  async open(name: string, skip: number | undefined): Promise<ReadableStream<string> | null> {
    const run = await this.current(name, {})
    return run === undefined || run.state === 'expired' ? null : this.reading(run.id, skip)
  }

  private async reading(id: string, skip = 0): Promise<ReadableStream<string>> {
    const feed = await this.store.feed(id)
    const leaving = new AbortController()
    const parts = feed && new FeedReading(feed, 0, leaving.signal).read()
    let left = skip
    return new ReadableStream<string>({
      async pull(controller) {
        for (;;) {
          const next: IteratorResult<ReadPart, ReadEnd | undefined> | undefined =
            await parts?.next()
          if (next === undefined || next.done) {
            const end = next?.value
            if (end?.kind === 'failed') controller.error(new Error(end.message))
            else controller.close()
            return
          }
          const chunk = String(next.value.data)
          const rest = chunk.slice(left)
          left = Math.max(0, left - chunk.length)
          if (rest === '') continue
          controller.enqueue(rest)
          return
        }
      },
      cancel: () => leaving.abort(),
    })
  }
}

/** Reads a stream to its end, whoever reads along. */
async function copy(stream: ReadableStream<string>, { append, signal }: Run): Promise<void> {
  const reader = stream.getReader()
  const leave = () => void reader.cancel(signal.reason).catch((error: unknown) => void error)
  signal.addEventListener('abort', leave, { once: true })
  for (;;) {
    const { value, done } = await reader.read()
    if (done) return
    append(value)
  }
}
