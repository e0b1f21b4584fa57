import { OptionsError } from '../errors.js'
import { hasDoor } from '../http/door.js'
import type { Streamer } from '../streamer.js'
import { MemoryStore } from './memory-store.js'
import type { ProducerOptions, RunsOptions } from './options.js'
import { checkProducerOptions, checkRunsOptions } from './options.js'
import { Producer } from './producer.js'
import { Runs } from './runs.js'
import type { RunStore } from './store.js'

export {
  NoRunError,
  PartError,
  RunEndedError,
  RunExpiredError,
  RunNameError,
  RunRunningError,
  RunStoreError,
  TooManyRunsError,
} from './errors.js'
export type {
  Fold,
  FormatName,
  ForOwner,
  ProducerOptions,
  RouteOptions,
  RunsOptions,
  StartOptions,
} from './options.js'
export type { EndedRun, Producer, ProducerEvents, Started, Stopping } from './producer.js'
export type { ReadEnd, ReadPart } from './reading.js'
export type { AppendOptions, Produce, Run } from './run.js'
export type {
  ExpiredStatus,
  KoaContext,
  Reading,
  RoutedContext,
  RoutedRequest,
  ReadOptions,
  RunHandler,
  Runs,
  RunStatus,
} from './runs.js'
export type { RunStore } from './store.js'

/** The memory of a Streamer's runs, which all `runs` on it share. */
const memories = new WeakMap<Streamer, MemoryStore>()

/**
 * Streams with a beginning and an end that survive their readers, such as a model's answer or the
 * progress of a job.
 *
 * ```ts
 * const answers = runs(streamer, { prefix: 'answers.', keep: 600_000 })
 * await answers.start('chat-1', { owner: 'alice' }, async ({ append, signal }) => {
 *   for await (const part of model.stream(prompt, { signal })) append(part)
 * })
 * app.get('/chat/:id/stream', auth, answers.express((req) => req.params.id))
 * ```
 *
 * @throws OptionsError
 */
export function runs(streamer: Streamer, options: RunsOptions = {}): Runs {
  if (!hasDoor(streamer)) throw new OptionsError('runs takes a Streamer first.')
  checkRunsOptions(options)
  return new Runs(streamer, options.store ?? memoryOf(streamer, options), options)
}

/**
 * Starts and stops runs without serving them, such as in a worker: `start`, `resume`, `stop`, `tell`.
 *
 * @param store Where the servers that serve them keep their runs.
 * @throws OptionsError
 */
export function producer(store: RunStore, options: ProducerOptions = {}): Producer {
  if (typeof (Object(store) as Partial<RunStore>).acquire !== 'function') {
    throw new OptionsError('producer takes a store of runs first, such as redisRuns(…).')
  }
  checkProducerOptions('producer', options)
  return new Producer(store, options)
}

function memoryOf(streamer: Streamer, { clock }: RunsOptions): MemoryStore {
  const kept = memories.get(streamer)
  if (kept !== undefined) return kept
  const store = new MemoryStore(clock)
  memories.set(streamer, store)
  return store
}
