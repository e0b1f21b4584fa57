import fc from 'fast-check'
import type { Opening } from './broker.js'

/** What a browser names when it connects. */
export type Naming = 'last' | 'foreign' | 'malformed' | 'future' | 'forged'

/** One thing that happens. `client` and `topic` are places in the model's lists. */
export type Command =
  | { do: 'subscribe'; client: number; topic: number; rewind: number; opening: Opening }
  | { do: 'unsubscribe'; client: number; topic: number }
  | { do: 'publish'; topic: number; count: number; size: number }
  | { do: 'gap'; topic: number }
  | { do: 'fail'; topic: number }
  | { do: 'connect'; client: number; naming: Naming; received: number }
  | { do: 'drop'; client: number; received: number }
  | { do: 'receive'; client: number; received: number }
  | { do: 'stopReading'; client: number }
  | { do: 'read'; client: number; bytes: number }
  | { do: 'remove'; client: number }
  | { do: 'wait'; milliseconds: number }
  | { do: 'openLate' }
  | { do: 'turn' }

/** What a run starts with. */
export interface Setup {
  bounds: 'tight' | 'medium' | 'roomy'
  maxAge: number
  topicLinger: number
  heartbeat: 'comment' | 'message'
  heartbeatInterval: number
  maxConnectionAge: number
  highWaterMark: number
  /** Whether the run ends without everybody coming back first. */
  abrupt: boolean
}

export const setups: fc.Arbitrary<Setup> = fc.record({
  bounds: fc.constantFrom('tight', 'tight', 'medium', 'roomy'),
  maxAge: fc.constantFrom(2_000, 70_000, 70_000),
  topicLinger: fc.constantFrom(0, 500, 5_000),
  heartbeat: fc.constantFrom('comment', 'message'),
  heartbeatInterval: fc.constantFrom(0, 900),
  maxConnectionAge: fc.constantFrom(0, 0, 8_000),
  highWaterMark: fc.constantFrom(1, 700, 16_384),
  abrupt: fc.boolean(),
})

const client = fc.nat(2)
const topic = fc.constantFrom(0, 0, 1, 2)
const received = fc.constantFrom(0, 0, 0.1, 0.5, 0.9, 1)
const size = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(0, 5, 60) },
  { weight: 3, arbitrary: fc.constantFrom(400, 1_500) },
  { weight: 1, arbitrary: fc.constantFrom(7_000, 40_000, 70_000) },
)
const opening: fc.Arbitrary<Opening> = fc.constantFrom(
  ...([
    'now',
    'now',
    'now',
    'now',
    'chatty',
    'late',
    'refuse',
    'refuseLate',
    'failAtOnce',
  ] as const),
)
const naming: fc.Arbitrary<Naming> = fc.constantFrom(
  ...new Array<'last'>(17).fill('last'),
  ...(['foreign', 'malformed', 'future', 'forged'] as const),
)
const rewind = fc.constantFrom(0, 0, 0, 1, 3, 50)
const is = <const Name extends string>(name: Name) => fc.constant(name)

const weighted: [number, fc.Arbitrary<Command>][] = [
  [7, fc.record({ do: is('subscribe'), client, topic, rewind, opening })],
  [1, fc.record({ do: is('unsubscribe'), client, topic })],
  [9, fc.record({ do: is('publish'), topic, count: fc.constantFrom(1, 2, 5, 20), size })],
  [1, fc.record({ do: is('gap'), topic })],
  [1, fc.record({ do: is('fail'), topic })],
  [8, fc.record({ do: is('connect'), client, naming, received })],
  [4, fc.record({ do: is('drop'), client, received })],
  [4, fc.record({ do: is('receive'), client, received })],
  [3, fc.record({ do: is('stopReading'), client })],
  [4, fc.record({ do: is('read'), client, bytes: fc.constantFrom(1, 500, 3_000, Infinity) })],
  [1, fc.record({ do: is('remove'), client })],
  [3, fc.record({ do: is('wait'), milliseconds: fc.constantFrom(10, 600, 3_000, 9_000, 12_000) })],
  [2, fc.record({ do: is('openLate') })],
  [9, fc.record({ do: is('turn') })],
]

export const commandLists: fc.Arbitrary<Command[]> = fc.array(
  fc.oneof(...weighted.map(([weight, arbitrary]) => ({ weight, arbitrary }))),
  { minLength: 10, maxLength: 70, size: 'max' },
)
