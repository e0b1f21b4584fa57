import cluster from 'node:cluster'
import type { Driver, TopicKind } from '../driver.js'
import { OptionsError } from '../errors.js'
import type { OptionTable } from '../option-checks.js'
import { callback, checkOptions, count, number, shape, text } from '../option-checks.js'
import { settingsFrom, STREAMER_OPTIONS } from '../options.js'
import type { StreamerOptions } from '../options.js'
import type { Streamer } from '../streamer.js'
import { checkAddress } from './address.js'
import { hubTable } from './hub.js'
import type { HubOptions } from './hub.js'
import { PART } from './roles.js'
import type { WorkerApp, WorkerContext } from './serve.js'

/** What `startWorkers` takes. Durations are in milliseconds. */
export interface WorkersOptions {
  /** How many workers. Default: `auto`, one for each core. */
  workers?: number | 'auto'
  /** Makes the broker's driver. It is called in the hub only. */
  driver: () => Driver | Promise<Driver>
  /** Makes the app. It is called in each worker, with the worker's Streamer. */
  app: (streamer: Streamer, worker: WorkerContext) => WorkerApp | Promise<WorkerApp>
  /** The port that all workers share. 0: any free one. */
  port: number
  /** The address to listen on. Default: all of this machine. */
  host?: string
  /** Options of each worker's Streamer. The directory is the hub's. */
  streamer?: Omit<StreamerOptions, 'directory' | 'server'>
  /** Options of the hub. */
  hub?: Pick<HubOptions, 'history' | 'topicLinger'>
  /** What a name means to the broker: see `HubDriverOptions`. */
  kindOf?: (topic: string) => TopicKind
  /** Where the hub listens: see `startHub`. Default: a socket in a new folder. */
  address?: string
  /** Over how long a worker that ends sends its clients away. Default: 5,000. */
  drain?: number
  /** Gets a line for each process that ended and is replaced. Default: it goes to stderr. */
  report?: (message: string) => void
}

/** The options of a Streamer that are not the hub's. */
const streamerTable: OptionTable = Object.fromEntries(
  Object.entries(STREAMER_OPTIONS).filter(([name]) => name !== 'directory' && name !== 'server'),
)

/** @throws OptionsError */
export function checkWorkersOptions(options: WorkersOptions): void {
  checkOptions('startWorkers', options, {
    workers: [
      (value) => value === 'auto' || (Number.isInteger(value) && (value as number) > 0),
      '"auto" or a whole number from 1',
    ],
    driver: callback('a function that makes a driver'),
    app: callback('a function from a Streamer to an app'),
    port: count(0, 65_535),
    host: text,
    streamer: shape(streamerTable),
    hub: shape(hubTable),
    kindOf: callback('a function from a topic to what it means to the broker'),
    address: text,
    drain: number(0, 2 ** 31 - 1),
    report: callback('a function that gets a line of text'),
  })
  // The workers' Streamers would say it, once the hub has been started.
  settingsFrom(options.streamer)
  if (options.address !== undefined) checkAddress('startWorkers', options.address)
  if (typeof options.driver !== 'function' || typeof options.app !== 'function') {
    throw new OptionsError('startWorkers needs driver and app, two functions: see docs/workers.md.')
  }
  if (cluster.isWorker && process.env[PART] === undefined) {
    throw new OptionsError(
      'startWorkers: call it in the first process, not in a worker of cluster.',
    )
  }
}
