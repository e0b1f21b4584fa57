import { Link } from 'unifrost/driver-kit'
import type { ConnectAttempt, LinkOptions } from 'unifrost/driver-kit'
import { until } from '../../support/until.js'

/** A connection that ends when the test says so. */
class FakeConnection {
  ended = false
  lose: (reason: unknown) => void = () => undefined
  readonly lost = new Promise<unknown>((resolve) => (this.lose = resolve))
}

/** A broker that answers attempts one by one, as the test says. */
class FakeBroker {
  readonly attempts: (ConnectAttempt & {
    accept(): FakeConnection
    refuse(reason: Error): void
  })[] = []

  readonly connect = (attempt: ConnectAttempt): Promise<FakeConnection> =>
    new Promise((resolve, reject) => {
      this.attempts.push({
        ...attempt,
        accept: () => {
          const connection = new FakeConnection()
          resolve(connection)
          return connection
        },
        refuse: reject,
      })
    })

  get last() {
    return this.attempts.at(-1)!
  }

  /** Waits for the next attempt, and moves the clock for it. */
  async attempt(number: number) {
    for (let moved = 0; this.attempts.length < number && moved < 10_000; moved += 50) {
      await jest.advanceTimersByTimeAsync(50)
    }
    expect(this.attempts).toHaveLength(number)
    return this.last
  }
}

let broker: FakeBroker
let link: Link<FakeConnection>

function linked(options: Partial<LinkOptions<FakeConnection>> = {}): Link<FakeConnection> {
  link = new Link<FakeConnection>({
    broker: 'Fake',
    where: 'localhost:1',
    connect: broker.connect,
    lost: (connection) => connection.lost,
    end: (connection) => (connection.ended = true),
    ...options,
  })
  return link
}

/** A link with a connection. */
async function up(options: Partial<LinkOptions<FakeConnection>> = {}) {
  const getting = linked(options).get()
  await jest.advanceTimersByTimeAsync(0)
  broker.last.accept()
  return getting
}

const message = async (promise: Promise<unknown>) => {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  return (error as Error).message
}

beforeEach(() => {
  jest.useFakeTimers()
  broker = new FakeBroker()
})

afterEach(async () => {
  const closing = link.close()
  await jest.advanceTimersByTimeAsync(1_000)
  await closing
  // Nothing waits any more.
  expect(jest.getTimerCount()).toBe(0)
  jest.useRealTimers()
})

test('those who ask at the same time share one attempt, and later ones its connection', async () => {
  const both = Promise.all([linked().get(), link.get()])
  await jest.advanceTimersByTimeAsync(0)
  const connection = broker.last.accept()
  expect(await both).toEqual([connection, connection])
  expect(await link.get()).toBe(connection)
  expect(link.current).toBe(connection)
  expect(broker.attempts).toHaveLength(1)
})

test('a first attempt that failed is forgotten, and says what to do', async () => {
  const failed = message(linked().get())
  await jest.advanceTimersByTimeAsync(0)
  broker.last.refuse(new Error('connect ECONNREFUSED'))
  expect(await failed).toBe(
    'Fake could not be reached at localhost:1 (connect ECONNREFUSED). ' +
      'Start it, or correct the address.',
  )
  const second = link.get()
  await jest.advanceTimersByTimeAsync(0)
  const connection = broker.last.accept()
  expect(await second).toBe(connection)
  expect(broker.attempts).toHaveLength(2)
})

test('an attempt takes connectTimeout at most, and what comes later is ended', async () => {
  const failed = message(linked({ connectTimeout: 300 }).get())
  await jest.advanceTimersByTimeAsync(299)
  expect(broker.last.signal.aborted).toBe(false)
  await jest.advanceTimersByTimeAsync(1)
  expect(await failed).toContain('(no answer within 300 ms)')
  expect(broker.last.signal.aborted).toBe(true)
  const late = broker.last.accept()
  await jest.advanceTimersByTimeAsync(0)
  expect(late.ended).toBe(true)
  expect(link.current).toBeUndefined()
})

test('what has to be prepared takes its own time, and its error is passed on', async () => {
  const prepare = jest.fn().mockRejectedValueOnce(new Error('Run npm install fake.'))
  linked({ prepare, connectTimeout: 300 })
  expect(await message(link.get())).toBe('Run npm install fake.')
  let prepared: () => void = () => undefined
  prepare.mockReturnValue(new Promise<void>((resolve) => (prepared = resolve)))
  const getting = link.get()
  await jest.advanceTimersByTimeAsync(1_000)
  prepared()
  await jest.advanceTimersByTimeAsync(0)
  const connection = broker.last.accept()
  expect(await getting).toBe(connection)
})

test('a caller waits as long as it says', async () => {
  const failed = message(linked().get(50))
  await jest.advanceTimersByTimeAsync(50)
  expect(await failed).toContain('no answer within 50 ms')
})

describe('a lost connection', () => {
  test('is followed by attempts with growing waits, until one succeeds', async () => {
    const events: string[] = []
    const first = await up({ again: () => true })
    link.on({ up: () => events.push('up'), lost: (reason) => events.push(String(reason)) })
    first.lose('cable')
    const waits: number[] = []
    for (let number = 2; number <= 8; number++) {
      const from = performance.now()
      const { refuse } = await broker.attempt(number)
      waits.push(performance.now() - from)
      refuse(new Error('still down'))
    }
    // By chance, each is half to all of 100, 200, 400 … 2,000 ms.
    waits.forEach((wait, index) => {
      const full = Math.min(2_000, 100 * 2 ** index)
      expect(wait).toBeGreaterThanOrEqual(full / 2)
      expect(wait).toBeLessThanOrEqual(full + 50)
    })
    const getting = link.get()
    const second = (await broker.attempt(9)).accept()
    expect(await getting).toBe(second)
    expect(events).toEqual(['cable', 'up'])
  })

  test('of short life does not shorten the waits; one that lived for a second does', async () => {
    let connection = await up({ again: () => true })
    const wait = async (life: number) => {
      const next = broker.attempts.length + 1
      await jest.advanceTimersByTimeAsync(life)
      connection.lose('flapping')
      const from = performance.now()
      const { accept } = await broker.attempt(next)
      const waited = performance.now() - from
      connection = accept()
      await jest.advanceTimersByTimeAsync(0)
      return waited
    }
    for (let i = 0; i < 5; i++) await wait(10)
    expect(await wait(10)).toBeGreaterThanOrEqual(1_000)
    expect(await wait(1_000)).toBeLessThanOrEqual(150)
  })

  test('is given up where another attempt can not help', async () => {
    const over = jest.fn()
    const first = await up({ again: (error) => !/password/.test(String(error)) })
    link.on({ over })
    first.lose('restart')
    const { refuse } = await broker.attempt(2)
    const waiting = message(link.get())
    refuse(new Error('wrong password'))
    await jest.advanceTimersByTimeAsync(0)
    expect(await waiting).toContain('refused the credentials (wrong password)')
    expect(over).toHaveBeenCalledTimes(1)
    await jest.advanceTimersByTimeAsync(10_000)
    expect(broker.attempts).toHaveLength(2)
  })

  test('is left to the library where nothing says to try again', async () => {
    const first = await up()
    first.lose('closed for good')
    await jest.advanceTimersByTimeAsync(10_000)
    expect(broker.attempts).toHaveLength(1)
    const getting = link.get()
    await jest.advanceTimersByTimeAsync(0)
    const second = broker.last.accept()
    expect(await getting).toBe(second)
  })

  test('does not hold up who asks meanwhile for longer than connectTimeout', async () => {
    const first = await up({ again: () => true, connectTimeout: 300 })
    first.lose(new Error('read ECONNRESET'))
    await jest.advanceTimersByTimeAsync(0)
    const failed = message(link.get())
    await jest.advanceTimersByTimeAsync(300)
    expect(await failed).toContain('ECONNRESET')
  })
})

describe('close', () => {
  test('ends the connection, and later calls say that it is closed', async () => {
    const connection = await up({ again: () => true })
    await link.close()
    expect(connection.ended).toBe(true)
    expect(link.current).toBeUndefined()
    expect(await message(link.get())).toBe('This Fake driver has been closed. Make a new one.')
    connection.lose('ended')
    await jest.advanceTimersByTimeAsync(10_000)
    expect(broker.attempts).toHaveLength(1)
  })

  test('ends an attempt, and a wait for the next one', async () => {
    const failed = message(linked().get())
    await jest.advanceTimersByTimeAsync(0)
    let closed = false
    const closing = link.close().then(() => (closed = true))
    expect(await failed).toContain('has been closed')
    await jest.advanceTimersByTimeAsync(500)
    expect(broker.last.signal.aborted).toBe(true)
    // It may still come to a connection, which close is not to leave behind.
    expect(closed).toBe(false)
    const late = broker.last.accept()
    await closing
    expect(late.ended).toBe(true)
  })

  test('gives a broker closeTimeout to take leave, and no more', async () => {
    await up({ end: () => new Promise(() => undefined), closeTimeout: 200 })
    let closed = false
    const closing = link.close().then(() => (closed = true))
    await jest.advanceTimersByTimeAsync(199)
    expect(closed).toBe(false)
    await jest.advanceTimersByTimeAsync(1)
    await closing
  })
})

test('a connection that is given up is ended and replaced; another one is left alone', async () => {
  const first = await up({ again: () => true })
  link.lose(new FakeConnection(), 'not this one')
  expect(link.current).toBe(first)
  link.lose(first, 'of no use')
  expect(first.ended).toBe(true)
  const second = (await broker.attempt(2)).accept()
  await jest.advanceTimersByTimeAsync(0)
  expect(link.current).toBe(second)
})

describe('a probe', () => {
  beforeEach(() => jest.useRealTimers())
  afterEach(() => jest.useFakeTimers())

  const probed = async (ask: () => Promise<unknown>) => {
    const getting = linked({ again: () => true, probe: { interval: 10, timeout: 60, ask } }).get()
    await until('an attempt', () => broker.attempts.length === 1)
    broker.last.accept()
    return getting
  }

  test('that is answered, or refused, leaves the connection', async () => {
    const ask = jest
      .fn<Promise<unknown>, []>()
      .mockRejectedValueOnce(new Error('NOPERM'))
      .mockResolvedValue('PONG')
    const connection = await probed(ask)
    await until('several probes', () => ask.mock.calls.length > 3)
    expect(link.current).toBe(connection)
    await link.close()
  })

  test('that nobody answers gives the connection up', async () => {
    const lost = jest.fn()
    const connection = await probed(() => new Promise(() => undefined))
    link.on({ lost })
    await until('it to be given up', () => connection.ended)
    expect(lost).toHaveBeenCalledWith(new Error('no answer within 60 ms'))
    await link.close()
  })

  test('that is under way ends with the link, and leaves no timer', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((it) => it === 'Timeout').length
    const ask = jest.fn(() => new Promise(() => undefined))
    await probed(ask)
    await until('a probe', () => ask.mock.calls.length === 1)
    const before = timers()
    await link.close()
    await new Promise(setImmediate)
    expect(timers()).toBeLessThan(before)
  })

  test('waits on while something else is heard', async () => {
    const connection = await probed(() => new Promise(() => undefined))
    const talking = setInterval(() => link.heard(), 5)
    const from = performance.now()
    await until('more time than silence may last', () => performance.now() > from + 200)
    expect(link.current).toBe(connection)
    clearInterval(talking)
    await until('silence to count', () => connection.ended)
    await link.close()
  })
})
