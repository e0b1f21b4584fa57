import { Backoff, inTime, pause, retryUntil, within } from 'unifrost/driver-kit'

const never = new Promise<never>(() => undefined)

beforeEach(() => {
  jest.useFakeTimers()
})

afterEach(() => {
  expect(jest.getTimerCount()).toBe(0)
  jest.useRealTimers()
})

/** Lets go of the clock until the promise has settled, and says what became of it and when. */
async function outcome(promise: Promise<unknown>): Promise<[unknown, number]> {
  const from = performance.now()
  let result: [unknown, number] | undefined
  const settle = (value: unknown) => (result = [value, performance.now() - from])
  promise.then(settle, (error: Error) => settle(error.message))
  for (let i = 0; result === undefined && i < 10_000; i++) await jest.advanceTimersByTimeAsync(1)
  return result!
}

test('within gives a value, or how it failed', async () => {
  expect(await outcome(within(Promise.resolve(1), 100))).toEqual([1, 0])
  expect(await outcome(within(Promise.reject(new Error('no')), 100))).toEqual(['failed', 0])
  expect(await outcome(within(never, 100))).toEqual(['late', 100])
})

describe('inTime', () => {
  test('gives a value or an error', async () => {
    expect(await outcome(inTime(Promise.resolve(1), 100))).toEqual([1, 0])
    expect(await outcome(inTime(Promise.reject(new Error('no')), 100))).toEqual(['no', 0])
  })

  test('rejects what is late', async () => {
    expect(await outcome(inTime(never, 100))).toEqual(['no answer within 100 ms', 100])
    const late = () => new Error('Start it.')
    expect(await outcome(inTime(never, 100, late))).toEqual(['Start it.', 100])
  })

  test('is ended by a signal, with its reason', async () => {
    const closing = new AbortController()
    const waiting = outcome(inTime(never, Infinity, undefined, closing.signal))
    closing.abort(new Error('closed'))
    expect((await waiting)[0]).toBe('closed')
    expect(await outcome(inTime(never, 100, undefined, closing.signal))).toEqual(['closed', 0])
  })

  test('has any number of waits share one listener of a signal', async () => {
    const closing = new AbortController()
    const add = jest.spyOn(closing.signal, 'addEventListener')
    const waits = Array.from({ length: 100 }, () =>
      outcome(inTime(never, Infinity, undefined, closing.signal)),
    )
    expect(await outcome(inTime(Promise.resolve(1), 100, undefined, closing.signal))).toEqual([
      1, 0,
    ])
    closing.abort(new Error('closed'))
    for (const [error] of await Promise.all(waits)) expect(error).toBe('closed')
    expect(add).toHaveBeenCalledTimes(1)
  })
})

describe('pause', () => {
  test('takes its time, or is over when the signal says so', async () => {
    const closing = new AbortController()
    expect((await outcome(pause(100, closing.signal)))[1]).toBe(100)
    const pausing = outcome(pause(100, closing.signal))
    closing.abort()
    expect((await pausing)[1]).toBeLessThan(100)
    expect((await outcome(pause(100, closing.signal)))[1]).toBe(0)
  })
})

describe('retryUntil', () => {
  const failing = (times: number) => {
    let tries = 0
    return jest.fn(async () => {
      if (tries++ < times) throw new Error(`failed ${tries}`)
      return 'done'
    })
  }

  test('tries until it works', async () => {
    const attempt = failing(3)
    expect((await outcome(retryUntil(performance.now() + 5_000, attempt)))[0]).toBe('done')
    expect(attempt).toHaveBeenCalledTimes(4)
  })

  test('gives the last error when time is up', async () => {
    const attempt = failing(1_000)
    const [error, took] = await outcome(retryUntil(performance.now() + 1_000, attempt))
    expect(error).toBe(`failed ${attempt.mock.calls.length}`)
    expect(took).toBeLessThanOrEqual(1_000)
  })

  test('does not wait for a try that is under way by then', async () => {
    const trying = retryUntil(performance.now() + 100, () => never)
    expect(await outcome(trying)).toEqual(['no answer within 100 ms', 100])
    const attempt = jest.fn().mockRejectedValueOnce(new Error('refused')).mockReturnValue(never)
    expect(await outcome(retryUntil(performance.now() + 500, attempt))).toEqual(['refused', 500])
  })

  test('ends at an error that another try would not mend', async () => {
    const attempt = failing(5)
    const again = (error: unknown) => !/failed 2/.test(String(error))
    expect((await outcome(retryUntil(Infinity, attempt, { again })))[0]).toBe('failed 2')
  })

  test('ends with the signal at once, in a try and between two', async () => {
    for (const attempt of [() => never, failing(1_000)]) {
      const closing = new AbortController()
      let error: unknown
      retryUntil(Infinity, attempt, { signal: closing.signal }).catch((it: unknown) => (error = it))
      await jest.advanceTimersByTimeAsync(500)
      closing.abort(new Error('closed'))
      await jest.advanceTimersByTimeAsync(0)
      expect(error).toEqual(new Error('closed'))
    }
  })

  test('waits as its back-off says', async () => {
    const backoff = new Backoff({ first: 1_000, cap: 1_000 })
    const [, took] = await outcome(retryUntil(Infinity, failing(2), { backoff }))
    expect(took).toBeGreaterThanOrEqual(1_000)
    expect(took).toBeLessThanOrEqual(2_000)
  })
})

test('a back-off doubles up to its cap, with jitter, and begins anew', () => {
  const backoff = new Backoff({ first: 10, cap: 40 })
  const between = (low: number, high: number) => {
    const wait = backoff.next()
    expect(wait).toBeGreaterThanOrEqual(low)
    expect(wait).toBeLessThanOrEqual(high)
  }
  between(5, 10)
  between(10, 20)
  between(20, 40)
  between(20, 40)
  backoff.reset()
  between(5, 10)
})
