import type { Door } from '../http/door.js'
import { DOOR } from '../http/door.js'
import type { Streamer } from '../streamer.js'

/** One value of a metric, with its label where it has one. */
export interface Reading {
  readonly value: number
  readonly labels?: Readonly<Record<string, string>>
}

/** A metric whose values are read from a Streamer when somebody asks. */
export interface Metric {
  readonly name: string
  readonly help: string
  readonly kind: 'gauge' | 'counter'
  /** Its labels, none of which has as many values as there are topics or clients. */
  readonly labels: readonly string[]
  read(streamer: Streamer, door: Door): Reading[]
}

/** A metric of times, in seconds. */
export interface TimeMetric {
  readonly name: string
  readonly help: string
  readonly buckets: readonly number[]
}

const one = (value: number): Reading[] => [{ value }]
const up = (state: 'up' | 'down' | undefined): Reading[] =>
  state === undefined ? [] : one(state === 'up' ? 1 : 0)
const by = (label: string, counts: Readonly<Record<string, number>>): Reading[] =>
  Object.entries(counts).map(([key, value]) => ({ value, labels: { [label]: key } }))

type Plain = readonly [name: string, help: string, read: (streamer: Streamer) => number]

const gauges: readonly Plain[] = [
  ['unifrost_connections', 'Open streams.', (it) => it.stats().connections],
  ['unifrost_clients', 'Clients of this server, connected or not.', (it) => it.stats().clients],
  ['unifrost_topics', 'Topics that are open on the broker.', (it) => it.stats().topics],
  [
    'unifrost_history_bytes',
    'Bytes of the messages that are kept for clients that are away or slow.',
    (it) => it.stats().history.bytes,
  ],
  ['unifrost_history_messages', 'Messages that are kept.', (it) => it.stats().history.frames],
  [
    'unifrost_stalled_connections',
    'Open streams whose peers accept no bytes.',
    (it) => it.stats().stalled.connections,
  ],
  [
    'unifrost_stalled_bytes',
    'Bytes of memory that stalled streams keep.',
    (it) => it.stats().stalled.bytes,
  ],
]

const counters: readonly Plain[] = [
  ['unifrost_received_total', 'Messages from the broker.', (it) => it.stats().received],
  [
    'unifrost_sent_total',
    'Messages written to streams, counted once for each client.',
    (it) => it.stats().sent,
  ],
  [
    'unifrost_messages_lost_total',
    'messages-lost told to clients, without those for gaps of the broker.',
    (it) => it.stats().messagesLost,
  ],
  [
    'unifrost_gaps_total',
    'Gaps that the driver reported, counted once for each topic.',
    (it) => it.stats().gaps,
  ],
  [
    'unifrost_history_evictions_total',
    'Messages that the history has let go because of a bound.',
    (it) => it.stats().history.evictions,
  ],
  [
    'unifrost_messages_refused_total',
    'Messages from the broker that were not sent: too large, or not UTF-8.',
    (it) => it.stats().refused,
  ],
  [
    'unifrost_subscription_failures_total',
    'Subscriptions that the broker ended.',
    (it) => it.stats().failures,
  ],
]

const plain =
  (kind: Metric['kind']) =>
  ([name, help, read]: Plain): Metric => ({
    name,
    help,
    kind,
    labels: [],
    read: (streamer) => one(read(streamer)),
  })

/** Every metric that is read. Their names are part of the public API. */
export const METRICS: readonly Metric[] = [
  ...gauges.map(plain('gauge')),
  ...counters.map(plain('counter')),
  {
    name: 'unifrost_resumes_total',
    help: 'Streams that named a position, by how they went on from it.',
    kind: 'counter',
    labels: ['result'],
    read: (it) => by('result', it.stats().resumes),
  },
  {
    name: 'unifrost_disconnects_total',
    help: 'Streams that ended, by why.',
    kind: 'counter',
    labels: ['reason'],
    read: (it) => by('reason', it.stats().disconnects),
  },
  {
    name: 'unifrost_refused_total',
    help: 'Requests that were refused, by the code of the error.',
    kind: 'counter',
    labels: ['code'],
    read: (_it, { signals }) => by('code', Object.fromEntries(signals.refusedByCode)),
  },
  {
    name: 'unifrost_broker_up',
    help: '1 while the driver reaches its broker, else 0. Missing where the driver cannot tell.',
    kind: 'gauge',
    labels: [],
    read: (it) => up(it.health().broker),
  },
  {
    name: 'unifrost_directory_up',
    help: '1 while the directory answers, else 0. Missing without a directory.',
    kind: 'gauge',
    labels: [],
    read: (it) => up(it.health().directory),
  },
]

/** From the arrival of a message until the last live client of its tick has been written to. */
export const DELIVERY: TimeMetric = {
  name: 'unifrost_delivery_seconds',
  help: 'From the arrival of a message until it is written to the last live client, once per tick.',
  buckets: [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5,
  ],
}

/** From the opening of a stream that names a position until its client has what it missed. */
export const CATCH_UP: TimeMetric = {
  name: 'unifrost_catch_up_seconds',
  help: 'From the opening of a stream that names a position until its client has what it missed.',
  buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
}

/** How much later than asked for the event loop runs a timer. */
export const LOOP_DELAY: TimeMetric = {
  name: 'unifrost_loop_delay_seconds',
  help: 'How late the event loop is, measured twice a second.',
  buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
}

/** The door of a Streamer, through which its signals are read. */
export function signalsOf(streamer: Streamer): Door {
  return streamer[DOOR]
}
