import { EventEmitter } from 'node:events'
import { memoryDriver } from '../../../src/drivers/memory.js'
import type { MemoryDriver } from '../../../src/drivers/memory.js'
import {
  checkNoSilentLoss,
  countListeners,
  driverContract,
  leftOut,
  recordingSink,
} from '../../../src/testing/index.js'
import type { DriverHarness } from '../../../src/testing/index.js'
import type { Sink } from '../../../src/driver.js'
import { readLeftOut } from '../drivers/left-out.js'

const reason = 'there is none in this test'
const without = {
  fanOut: reason,
  restart: reason,
  freeze: reason,
  cut: reason,
  stall: reason,
  refuse: reason,
  leftovers: reason,
  subscriptions: reason,
  badTopics: reason,
  deniedTopic: reason,
  unreachable: reason,
  badLogin: reason,
  brought: reason,
}

/** A harness around a memory driver that does one thing wrong. */
function faulty(fault: (driver: MemoryDriver) => Partial<MemoryDriver>): DriverHarness {
  let driver: MemoryDriver
  return {
    create() {
      const sound = memoryDriver()
      driver = { ...sound, ...fault(sound) }
      return driver
    },
    publish: (topic, payload) => void driver.publish(topic, payload),
    bound: 100,
    without,
  }
}

function except<T>(record: Record<string, T>, name: string): Record<string, T> {
  return Object.fromEntries(Object.entries(record).filter(([key]) => key !== name))
}

/** The names of the cases that fail. */
async function red(harness: DriverHarness): Promise<string[]> {
  const failed: string[] = []
  for (const { name, run } of driverContract(harness)) {
    await run().catch(() => failed.push(name))
  }
  return failed
}

const onMessage = (change: (sink: Sink, payload: string | Uint8Array) => void) =>
  faulty((driver) => ({
    subscribe: (topic, sink) =>
      driver.subscribe(topic, {
        ...sink,
        message: (payload) => change(sink, payload as string | Uint8Array),
      }),
  }))

test('a driver that is sound passes', async () => {
  expect(await red(faulty(() => ({})))).toEqual([])
})

test.each<[fault: string, harness: DriverHarness, part: string]>([
  ['loses the first message', losesFirst(), '2: a message published when'],
  ['gives each message twice', onMessage(twice), '3: five hundred'],
  ['hands over text', onMessage((sink, bytes) => sink.message(text(bytes))), '3: payloads'],
  [
    'drops what is empty',
    onMessage((sink, bytes) => bytes.length && sink.message(bytes)),
    '3: pay',
  ],
  ['gives every topic everything', mixesTopics(), '2: fifty topics'],
  ['goes on after close', goesOn(), '4: a message that comes after close'],
  ['goes on after close', goesOn(), '4: closing in the middle'],
  ['opens a topic once only', opensOnce(), '4: a topic that was closed opens again'],
  [
    'takes topics when closed',
    faulty(() => ({ close: async () => undefined })),
    '4: a closed driver',
  ],
  [
    'never settles a close',
    faulty(() => ({ close: () => new Promise(() => undefined) })),
    '4: a cl',
  ],
])('one that %s fails', async (_, harness, part) => {
  expect(await red(harness)).toContainEqual(expect.stringContaining(part))
})

function text(bytes: string | Uint8Array): string {
  return Buffer.from(bytes as Uint8Array).toString()
}

function twice(sink: Sink, payload: string | Uint8Array): void {
  sink.message(payload)
  sink.message(payload)
}

function losesFirst(): DriverHarness {
  const seen = new WeakSet<Sink>()
  return onMessage((sink, payload) => {
    if (seen.has(sink)) sink.message(payload)
    seen.add(sink)
  })
}

function mixesTopics(): DriverHarness {
  return faulty((driver) => {
    const topics = new Set<string>()
    return {
      subscribe(topic, sink) {
        topics.add(topic)
        return driver.subscribe(topic, sink)
      },
      publish: (_, payload) => [...topics].every((topic) => driver.publish(topic, payload)),
    }
  })
}

function goesOn(): DriverHarness {
  return faulty((driver) => ({
    async subscribe(topic, sink) {
      await driver.subscribe(topic, sink)
      return { close: async () => undefined }
    },
  }))
}

function opensOnce(): DriverHarness {
  return faulty((driver) => {
    const opened = new Set<string>()
    return {
      subscribe(topic, sink) {
        if (opened.has(topic)) return new Promise(() => undefined)
        opened.add(topic)
        return driver.subscribe(topic, sink)
      },
    }
  })
}

describe('a driver on a connection that the user brought', () => {
  const timers: NodeJS.Timeout[] = []
  afterAll(() => timers.forEach((timer) => clearTimeout(timer)))

  /** Has a listener on the connection while it is open, and does `leave` when it is closed. */
  function onConnection(leave: (connection: EventEmitter, listener: () => void) => void) {
    const sound = faulty(() => ({}))
    return {
      ...sound,
      without: except(without, 'brought'),
      brought() {
        const connection = new EventEmitter()
        return {
          async driver() {
            const driver = await sound.create()
            const listener = () => undefined
            connection.on('error', listener)
            const close = async () => {
              await driver.close()
              leave(connection, listener)
            }
            return { ...driver, close }
          },
          check: async () => undefined,
          listeners: () => countListeners(connection),
          end: async () => undefined,
        }
      },
    }
  }

  test('passes where it takes its listener away', async () => {
    const letGo = onConnection((connection, listener) => connection.off('error', listener))
    expect(await red(letGo)).toEqual([])
  })

  test.each([
    ['a listener', () => undefined],
    [
      'a timer',
      (connection: EventEmitter, listener: () => void) => {
        connection.off('error', listener)
        timers.push(setTimeout(listener, 60_000).unref())
      },
    ],
  ])('fails where it leaves %s', async (_, leave) => {
    expect(await red(onConnection(leave))).toEqual([
      expect.stringContaining('7: a driver that is closed leaves no timer, socket or listener'),
    ])
  })
})

describe('a harness', () => {
  const whole = faulty(() => ({}))

  test('that lacks something without a reason is refused', () => {
    const rest = except(without, 'cut')
    expect(() => driverContract({ ...whole, without: rest })).toThrow('no cut: add it, or say why')
    expect(() => leftOut({ ...whole, without: rest })).toThrow('no cut')
  })

  test('that has what it says it lacks is refused', () => {
    expect(() => driverContract({ ...whole, cut: () => undefined })).toThrow('says it has not')
  })

  test('that lacks what does not exist is refused', () => {
    const odd = { ...without, speed: 'slow' }
    expect(() => driverContract({ ...whole, without: odd })).toThrow('no capability')
  })

  test('that counts neither what is left nor what is open has to say why', () => {
    for (const name of ['leftovers', 'subscriptions'] as const) {
      const rest = { ...without, [name]: undefined }
      expect(() => driverContract({ ...whole, without: rest })).toThrow(`no ${name}: add it`)
    }
  })

  test('loses the cases of left-out.json with each thing that it lacks', () => {
    const { cases } = readLeftOut()
    const all = Object.fromEntries(Object.keys(without).map((name) => [name, () => undefined]))
    const found = Object.keys(cases).map((lacks) => {
      const harness = { ...whole, ...except(all, lacks), without: { [lacks]: reason } } as unknown
      return [lacks, leftOut(harness as DriverHarness).map(({ name }) => name)]
    })
    expect(Object.fromEntries(found)).toEqual(cases)
  })

  test('runs or names every case, and none twice', () => {
    const names = [...driverContract(whole), ...leftOut(whole)].map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
    expect(new Set(names.map((name) => name[0]))).toEqual(new Set('123456789'))
  })
})

describe('what is missing', () => {
  const entries = (...seen: (number | 'gap')[]) => {
    const sink = recordingSink()
    for (const it of seen) it === 'gap' ? sink.gap('test') : sink.message(String(it))
    return sink.entries
  }
  const sent = [1, 2, 3, 4, 5, 6]

  test.each([
    ['nothing', entries(1, 2, 3, 4, 5, 6)],
    ['what stands before a gap', entries(1, 2, 'gap', 5, 6)],
    ['what the broker may not have had', entries(1, 2, 3, 4, 5, 6, 9)],
    ['nothing, with a gap all the same', entries(1, 'gap', 2, 3, 4, 5, 6)],
  ])('is fine: %s', (_, seen) => {
    expect(() => checkNoSilentLoss('t', seen, sent)).not.toThrow()
  })

  test.each([
    ['something, without a gap', entries(1, 2, 5, 6), 'there is no gap'],
    ['something, with a gap before it', entries(1, 'gap', 2, 5, 6), 'there is no gap'],
    ['something, with a gap after it', entries(1, 2, 5, 'gap', 6), 'there is no gap'],
    ['order', entries(1, 'gap', 3, 2), 'in order'],
    ['what keeps doubles away', entries(1, 2, 2), 'without doubles'],
  ])('is told: %s', (_, seen, part) => {
    expect(() => checkNoSilentLoss('t', seen, sent)).toThrow(part)
  })
})
