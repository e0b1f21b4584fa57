import fc from 'fast-check'
import type { Naming } from './commands.js'

/** One thing that happens where several servers read one log. */
export type LogCommand =
  | { do: 'subscribe'; client: number; topic: number; rewind: number }
  | { do: 'unsubscribe'; client: number; topic: number }
  | { do: 'publish'; topics: number[]; count: number; size: number; step: number }
  | { do: 'gap'; server: number; topic: number }
  | { do: 'fail'; server: number; topic: number }
  | { do: 'connect'; client: number; server: number; naming: Naming; received: number }
  | { do: 'drop'; client: number; received: number }
  | { do: 'receive'; client: number; received: number }
  | { do: 'stopReading'; client: number }
  | { do: 'read'; client: number; bytes: number }
  | { do: 'trim'; part: number }
  | { do: 'remake' }
  | { do: 'lag'; server: number; lags: boolean }
  | { do: 'refuse'; server: number; times: number }
  | { do: 'wait'; milliseconds: number }
  | { do: 'turn' }

/** What a run starts with. */
export interface LogSetup {
  bounds: 'tight' | 'medium' | 'roomy'
  maxAge: number
  topicLinger: number
  heartbeat: 'comment' | 'message'
  heartbeatInterval: number
  highWaterMark: number
}

export const logSetups: fc.Arbitrary<LogSetup> = fc.record({
  bounds: fc.constantFrom('tight', 'tight', 'medium', 'roomy'),
  maxAge: fc.constantFrom(2_000, 70_000, 70_000),
  topicLinger: fc.constantFrom(0, 500, 5_000),
  heartbeat: fc.constantFrom('comment', 'message'),
  heartbeatInterval: fc.constantFrom(0, 900),
  highWaterMark: fc.constantFrom(1, 700, 16_384),
})

const client = fc.nat(2)
const server = fc.nat(2)
const topic = fc.constantFrom(0, 0, 1, 2)
const topics = fc.constantFrom<number[]>([0], [0], [1], [2], [0, 1], [1, 2], [0, 1, 2])
const received = fc.constantFrom(0, 0, 0.1, 0.5, 0.9, 1)
const size = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(0, 5, 60) },
  { weight: 3, arbitrary: fc.constantFrom(400, 1_500) },
  { weight: 1, arbitrary: fc.constantFrom(7_000, 40_000, 70_000) },
)
const naming: fc.Arbitrary<Naming> = fc.constantFrom(
  ...new Array<'last'>(17).fill('last'),
  ...(['foreign', 'malformed', 'future', 'forged'] as const),
)
const is = <const Name extends string>(name: Name) => fc.constant(name)

const weighted: [number, fc.Arbitrary<LogCommand>][] = [
  [6, fc.record({ do: is('subscribe'), client, topic, rewind: fc.constantFrom(0, 0, 0, 3) })],
  [1, fc.record({ do: is('unsubscribe'), client, topic })],
  [
    10,
    fc.record({
      do: is('publish'),
      topics,
      count: fc.constantFrom(1, 2, 5, 20),
      size,
      step: fc.constantFrom(1, 1, 3),
    }),
  ],
  [1, fc.record({ do: is('gap'), server, topic })],
  [1, fc.record({ do: is('fail'), server, topic })],
  [10, fc.record({ do: is('connect'), client, server, naming, received })],
  [4, fc.record({ do: is('drop'), client, received })],
  [4, fc.record({ do: is('receive'), client, received })],
  [2, fc.record({ do: is('stopReading'), client })],
  [4, fc.record({ do: is('read'), client, bytes: fc.constantFrom(1, 500, 3_000, Infinity) })],
  [1, fc.record({ do: is('trim'), part: fc.constantFrom(0.3, 0.8, 1) })],
  [1, fc.record({ do: is('lag'), server, lags: fc.boolean() })],
  [1, fc.record({ do: is('refuse'), server, times: fc.constantFrom(1, 6) })],
  [3, fc.record({ do: is('wait'), milliseconds: fc.constantFrom(10, 600, 3_000, 9_000) })],
  [10, fc.record({ do: is('turn') })],
]

const rare: fc.Arbitrary<LogCommand> = fc.record({ do: is('remake') })

export const logCommandLists: fc.Arbitrary<LogCommand[]> = fc.array(
  fc.oneof(...weighted.map(([weight, arbitrary]) => ({ weight: weight * 3, arbitrary })), {
    weight: 1,
    arbitrary: rare,
  }),
  { minLength: 10, maxLength: 70, size: 'max' },
)
