import { connect } from 'node:net'
import type { Socket } from 'node:net'
import type { Driver } from 'unifrost'
import { tinyDriver } from '../../../examples/driver-harness/driver.js'
import { tinyHarness } from '../../../examples/driver-harness/harness.js'
import { driverContract } from '../../../src/testing/index.js'
import type { DriverHarness } from '../../../src/testing/index.js'
import { whenEnding } from '../../support/ending.js'

type Make = typeof tinyDriver

/** The driver of the example, with one thing done wrong. */
const wrong =
  (fault: (driver: Driver, address: string) => Partial<Driver>): Make =>
  (address, options) => {
    const driver = tinyDriver(address, options)
    return { ...driver, ...fault(driver, address) }
  }

/** It waits in its own way before it connects again. */
const waiting =
  (wait: (attempt: number) => number): Make =>
  (address, options) =>
    tinyDriver(address, { ...options, wait })

/** What `subscribe` rejects with is something else. */
const saying = (change: (error: Error) => Error) =>
  wrong((driver) => ({
    subscribe: (topic, sink) =>
      driver.subscribe(topic, sink).catch((error: Error) => {
        throw change(error)
      }),
  }))

const sockets: Socket[] = []
const timers: NodeJS.Timeout[] = []
const listener = () => undefined

afterAll(async () => {
  for (const timer of timers) clearTimeout(timer)
  for (const socket of sockets) socket.destroy()
})

function dial(address: string): void {
  const [host = '', port] = address.split(':')
  sockets.push(connect(Number(port), host).on('error', () => undefined))
}

const leavesTimer = wrong((driver) => ({
  async close() {
    await driver.close()
    timers.push(setTimeout(() => undefined, 60_000).unref())
  },
}))

const leavesSocket = wrong((driver, address) => ({
  subscribe(topic, sink) {
    dial(address)
    return driver.subscribe(topic, sink)
  },
}))

const leavesListener: Make = (address, options) => {
  process.on('beforeExit', listener)
  return tinyDriver(address, options)
}

const comesBack = wrong((driver, address) => ({
  async close() {
    await driver.close()
    timers.push(setInterval(() => dial(address), 300).unref())
  },
}))

const keepsSubscriptions = wrong((driver) => ({
  async subscribe(topic, sink) {
    const { message, ...rest } = sink
    let open = true
    const guarded = (payload: string | Uint8Array) => open && message(payload)
    await driver.subscribe(topic, { ...rest, message: guarded })
    return { close: async () => void (open = false) }
  },
}))

const [BACK_OFF, NO_TIMER, NO_ATTEMPT, PROCESS, TOPIC_GONE, UNREACHABLE, LOGIN, CLOSED] = [
  '5: while connections are refused',
  '4: a driver that is closed while it waits to connect again leaves no timer',
  '4: a driver that is closed while it waits to connect again does not try again',
  '4: a driver that is closed leaves no timer, socket or listener',
  '4: a topic that is closed is gone from the broker',
  '6: a broker that is not there',
  '6: credentials that the broker refuses',
  '4: a closed driver takes no topics',
]
const withSecret = (text: string) => (error: Error) =>
  new Error(`${error.message} ${text}`, { cause: Object.assign(error, { sent: ['hunter2'] }) })

/** Milliseconds for what has to happen, on a machine that has much else to do. */
const BOUND = 15_000
/** Milliseconds for what does not happen because of the fault, and is waited for in vain. */
const IN_VAIN = 4_000

type Fault = [fault: string, make: Make, part: string, says: RegExp, bound?: number]
const faults: Fault[] = [
  ['asks without a pause', waiting(() => 0), BACK_OFF, /at most 25 attempts .* within a second/],
  ['waits no longer each time', waiting(() => 70), BACK_OFF, /attempts .*: wait longer/],
  ['does not come back', waiting(() => 60_000), BACK_OFF, /an attempt to connect/, IN_VAIN],
  ['leaves a timer that waits', leavesTimer, NO_TIMER, /with the broker away.*a timer made at/],
  ['goes on after close', comesBack, NO_ATTEMPT, /no attempt to connect after close/],
  ['leaves a timer, unref’d', leavesTimer, PROCESS, /a timer made at .*promises\.test/],
  ['leaves a socket', leavesSocket, PROCESS, /a socket made at/],
  ['leaves a listener', leavesListener, PROCESS, /a listener of process for 'beforeExit'/],
  [
    'never unsubscribes',
    keepsSubscriptions,
    TOPIC_GONE,
    /Expected 1 subscriptions .* are 2/,
    IN_VAIN,
  ],
  ['says nonsense', saying(() => new Error('x'.repeat(50))), UNREACHABLE, /to name 127\.0\.0\.1/],
  [
    'names the place and nothing to do',
    saying(({ message }) => new Error(message.split('. ')[0])),
    UNREACHABLE,
    /to say what to do/,
  ],
  [
    'has no advice for a login',
    saying(({ message }) => new Error(message.split('. ')[0])),
    LOGIN,
    /to say what to do/,
  ],
  ['shows a password', saying(withSecret('Use hunter2.')), LOGIN, /its message shows it/],
  ['shows it in a cause', saying(withSecret('')), LOGIN, /its cause or another property shows it/],
  [
    'is closed and mute',
    saying(() => new Error('It is closed, so there it is.')),
    CLOSED,
    /what to do/,
  ],
]

const kills = new Set<() => void>()
const letGo = whenEnding(() => kills.forEach((kill) => kill()))
afterAll(letGo)

function atExit(kill: () => void): () => void {
  kills.add(kill)
  return () => void kills.delete(kill)
}

/** Why the cases whose names begin with this reject; those that hold are not among them. */
async function failures(make: Make, part: string, change: Partial<DriverHarness> = {}) {
  const { harness, stop } = await tinyHarness(make, { atExit })
  const failed: string[] = []
  try {
    const cases = driverContract({ ...harness, bound: BOUND, ...change })
    const chosen = cases.filter(({ name }) => name.startsWith(part))
    expect(chosen.length).toBeGreaterThan(0)
    for (const { run } of chosen) await run().catch((error: Error) => failed.push(error.message))
  } finally {
    await stop()
  }
  return failed
}

describe('the contract', () => {
  // Most of it is waiting, so all of them wait at once. What counts in the process comes last.
  const outcomes = new Map<Fault, Promise<string[]>>()
  let sound: Promise<string[][]>
  let countsNothing: Promise<string[]>
  beforeAll(() => {
    const counting = { subscriptions: () => 0, bound: IN_VAIN }
    countsNothing = failures(tinyDriver, TOPIC_GONE, counting)
    countsNothing.catch(() => undefined)
    const parts = [...new Set(faults.map(([, , part]) => part))]
    sound = Promise.all(parts.map((part) => failures(tinyDriver, part)))
    sound.catch(() => undefined)
    for (const fault of faults) {
      const [, make, part, , bound = BOUND] = fault
      if (make === leavesListener) continue
      const outcome = failures(make, part, { bound })
      outcome.catch(() => undefined)
      outcomes.set(fault, outcome)
    }
  })

  test.each(faults.map((fault) => [fault[0], fault] as const))(
    'catches a driver that %s',
    async (_, fault) => {
      const [, make, part, says] = fault
      const failed = await (outcomes.get(fault) ?? failures(make, part))
      // Such a driver may fail by other words as well, on a machine that has other things to do.
      expect(failed).toContainEqual(expect.stringMatching(says))
    },
    60_000,
  )

  test('passes the driver of the example in these cases', async () => {
    expect((await sound).flat()).toEqual([])
  }, 60_000)

  test('catches a harness that counts no subscriptions', async () => {
    expect(await countsNothing).toEqual([
      expect.stringContaining('Expected subscriptions() to rise'),
    ])
  }, 60_000)

  test('asks a harness again that can’t tell at once what is left on the broker', async () => {
    const { harness, stop } = await tinyHarness(tinyDriver, { atExit })
    try {
      let asked = 0
      const leftovers = async () => {
        if (asked++ % 2 === 0) throw new Error('no answer within 1000 ms')
        return (await harness.leftovers?.()) ?? 0
      }
      const cases = driverContract({ ...harness, leftovers, bound: BOUND })
      const chosen = cases.filter(({ name }) => name.startsWith('4: closing topics one by one'))
      expect(chosen).toHaveLength(1)
      for (const { run } of chosen) await run()
      expect(asked).toBeGreaterThan(4)
    } finally {
      await stop()
    }
  }, 60_000)
})
