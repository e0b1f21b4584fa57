import { createServer } from 'node:http'
import { memoryDriver, Streamer } from 'unifrost'
import type { ReadPart, Run, Runs, RunsOptions } from 'unifrost/runs'
import { producer, runs } from 'unifrost/runs'
import { MemoryStore } from '../../../src/runs/memory-store.js'
import { ManualClock } from '../../support/manual-clock.js'
import { until } from '../../support/until.js'

const closing: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

function setUp(options: RunsOptions = {}): {
  answers: Runs
  clock: ManualClock
  streamer: Streamer
} {
  const streamer = new Streamer(memoryDriver())
  closing.push(() => streamer.close())
  const clock = new ManualClock()
  return { answers: runs(streamer, { clock, ...options }), clock, streamer }
}

/** All parts of a run, and its end. */
async function all(answers: Runs, name: string, options = {}) {
  const reading = answers.read(name, options)
  const parts: ReadPart[] = []
  for await (const part of reading) parts.push(part)
  return { data: parts.map(({ data }) => data), parts, end: reading.end }
}

/** A producer that runs until its signal aborts. */
const endless = ({ signal }: Run) =>
  new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))

describe('the inbox', () => {
  test('gets what the run is told, in order, once; after the end it is refused', async () => {
    const { answers } = setUp()
    await expect(answers.tell('a', 'x')).rejects.toMatchObject({ status: 404 })
    await answers.start('a', async ({ inbox, append }) => {
      for await (const message of inbox) {
        append({ got: message })
        if (message === 'last') return
      }
    })
    expect(await answers.tell('a', { first: 1 })).toMatchObject({ status: 202, number: 1 })
    await answers.tell('a', 'last')
    const { data } = await all(answers, 'a')
    expect(data).toEqual([{ got: { first: 1 } }, { got: 'last' }])
    await expect(answers.tell('a', 'late')).rejects.toMatchObject({
      status: 409,
      message: expect.stringContaining('(done)'),
    })
  })

  test('`wait` takes one message, shows in the status, and puts the idle limit off', async () => {
    const { answers, clock } = setUp({ maxIdle: 1_000 })
    await answers.start('a', async ({ wait, append }) => {
      append(`first: ${String(await wait(500))}`)
      append(`then: ${String(await wait())}`)
    })
    await until('it waits', async () => (await answers.status('a'))?.state === 'waiting')
    clock.advance(500)
    await until('it waits again', async () => {
      const status = await answers.status('a')
      return status?.state === 'waiting' && status.parts === 1
    })
    clock.advance(10_000)
    await answers.tell('a', 'go on')
    expect((await all(answers, 'a')).data).toEqual(['first: undefined', 'then: go on'])
  })
})

describe('a pause', () => {
  test('gives the run back; another producer goes on in its numbering, with what was not read', async () => {
    const { answers } = setUp()
    const reading = all
    const first = await answers.start('a', async ({ append, pause, wait }) => {
      append('one')
      await wait()
      await pause()
      expect(() => append('late')).toThrow(/\(paused\)/)
      return 'does not count'
    })
    const whole = reading(answers, 'a')
    await answers.tell('a', 'read')
    await answers.tell('a', 'unread')
    await until('it is paused', async () => (await answers.status('a'))?.state === 'paused')
    expect(await answers.start('a', () => undefined)).toMatchObject({ started: false })
    const resumed = await answers.resume('a', async ({ append, inbox, term }) => {
      expect(term).toBe(2)
      for await (const message of inbox) {
        append(message)
        return
      }
    })
    expect(resumed).toEqual({ id: first.id, name: 'a', started: true })
    const { parts, end } = await whole
    expect(parts).toEqual([
      { id: `${first.id}-1`, data: 'one', event: undefined },
      { id: `${first.id}-2`, data: 'unread', event: undefined },
    ])
    expect(end).toEqual({ kind: 'done' })
    await expect(answers.resume('a', () => undefined)).rejects.toMatchObject({ status: 409 })
    await expect(answers.resume('b', () => undefined)).rejects.toMatchObject({ status: 404 })
  })

  test('that nobody ends is ended by `maxPause`, or by a stop', async () => {
    const { answers, clock } = setUp({ maxPause: 1_000 })
    for (const name of ['a', 'b']) await answers.start(name, ({ pause }) => pause())
    await until('b is paused', async () => (await answers.status('b'))?.state === 'paused')
    expect(await answers.stop('b')).toEqual({ was: 'paused' })
    expect((await all(answers, 'b')).end).toEqual({ kind: 'stopped' })
    clock.advance(1_000)
    expect((await all(answers, 'a')).end).toMatchObject({ code: 'paused-too-long' })
  })
})

describe('a limit ends the run with its code', () => {
  const rows: [string, RunsOptions, number, string][] = [
    ['without a part', { maxIdle: 1_000 }, 1_000, 'idle'],
    ['in all', { maxAge: 2_000, maxIdle: Infinity }, 2_000, 'too-long'],
    ['without a reader', { abandonAfter: 3_000 }, 3_000, 'nobody'],
  ]
  test.each(rows)('of the time %s', async (_, options, time, code) => {
    const { answers, clock } = setUp(options)
    let reason: unknown
    await answers.start('a', async (run) => {
      await endless(run)
      reason = run.signal.reason
    })
    clock.advance(time - 1)
    expect(await answers.status('a')).toMatchObject({ state: 'running' })
    clock.advance(1)
    await until('the signal', () => reason !== undefined)
    expect(reason).toBe(code)
    expect((await all(answers, 'a')).end).toMatchObject({ kind: 'failed', code })
  })

  test('of runs at once, for an owner and in all: the next one gets 429', async () => {
    const { answers } = setUp({ maxRuns: 3, maxRunsPerOwner: 2 })
    await answers.start('a', { owner: 'x' }, endless)
    await answers.start('b', { owner: 'x' }, endless)
    await expect(answers.start('c', { owner: 'x' }, endless)).rejects.toMatchObject({ status: 429 })
    await answers.start('c', { owner: 'y' }, endless)
    await expect(answers.start('d', endless)).rejects.toMatchObject({ status: 429 })
    await answers.stop('a')
    await all(answers, 'a')
    expect(await answers.start('d', { owner: 'x' }, endless)).toMatchObject({ started: true })
  })

  test('a reader keeps a run that nobody reads for long', async () => {
    const { answers, clock } = setUp({ abandonAfter: 1_000 })
    let readers = 0
    await answers.start('a', async (run) => {
      await run.wait()
      readers = run.readers
    })
    const reading = all(answers, 'a')
    await until('it is read', async () => (await answers.status('a'))!.state === 'waiting')
    clock.advance(5_000)
    await answers.tell('a', 'go')
    expect((await reading).end).toEqual({ kind: 'done' })
    expect(readers).toBe(1)
  })
})

describe('in the process', () => {
  test('`read` begins at any part, ends with its signal, and gives parts as they were appended', async () => {
    const { answers } = setUp()
    await answers.start('a', async (run) => {
      run.append({ n: 1 })
      run.append('two', { event: 'note' })
      await endless(run)
    })
    const leaving = new AbortController()
    const got: ReadPart[] = []
    const reading = (async () => {
      for await (const part of answers.read('a', { signal: leaving.signal })) {
        got.push(part)
        if (got.length === 2) leaving.abort(new Error('left'))
      }
    })()
    await expect(reading).rejects.toThrow('left')
    expect(got.map(({ data, event }) => [data, event])).toEqual([
      [{ n: 1 }, undefined],
      ['two', 'note'],
    ])
    await answers.stop('a')
    expect((await all(answers, 'a', { from: got[0]!.id })).data).toEqual(['two'])
    await expect(all(answers, 'none')).rejects.toMatchObject({ status: 404 })
  })

  test('`end` tells the whole text once, and `list` what an owner has', async () => {
    const { answers } = setUp({ prefix: 'p.' })
    const ends: unknown[] = []
    answers.on('end', (run) => ends.push(run))
    const { id } = await answers.start('a', { owner: 'x' }, ({ append }) => {
      append('Hel')
      append('lo')
      return { tokens: 2 }
    })
    await all(answers, 'a')
    expect(ends).toMatchObject([
      { id, name: 'a', owner: 'x', kind: 'done', data: { tokens: 2 }, text: 'Hello' },
    ])
    await answers.start('b', { owner: 'x' }, endless)
    await answers.start('c', { owner: 'y' }, endless)
    const list = await answers.list('x')
    expect(list.map(({ name, state }) => [name, state])).toEqual([
      ['a', 'done'],
      ['b', 'running'],
    ])
  })

  test.each(['', 'a b', 'a*', 'a.>', '#', 'x'.repeat(300), 'a\n', '\ud800'])(
    'no run can have the name %j',
    async (name) => {
      const { answers } = setUp()
      await expect(answers.start(name, () => undefined)).rejects.toMatchObject({
        code: 'ERR_UNIFROST_RUN_NAME',
        status: 400,
      })
      expect(await answers.status(name)).toBeUndefined()
    },
  )

  test('a producer that serves nothing works on a store of its own', async () => {
    const store = new MemoryStore()
    const worker = producer(store, { prefix: 'jobs.' })
    const streamer = new Streamer(memoryDriver())
    closing.push(() => streamer.close())
    const served = runs(streamer, { store, prefix: 'jobs.' })
    await worker.start('a', ({ append }) => void append('from the worker'))
    expect((await all(served, 'a')).data).toEqual(['from the worker'])
  })

  test('`fold` makes one part of many for who comes late, and positions stay exact', async () => {
    const { answers } = setUp({ fold: (parts) => parts.join('') })
    const { id } = await answers.start('a', async (run) => {
      for (const letter of 'abc') run.append(letter)
      run.append('note', { event: 'note' })
      for (const letter of 'def') run.append(letter)
    })
    await all(answers, 'a')
    const handle = answers.fetch(() => 'a')
    const text = await (await handle(new Request('http://x/'))).text()
    expect(text.split('\n\n').slice(0, 3)).toEqual([
      `data: abc\nid: ${id}-3`,
      `event: note\ndata: note\nid: ${id}-4`,
      `data: def\nid: ${id}-7`,
    ])
    const headers = { 'last-event-id': `${id}-2` }
    const rest = await (await handle(new Request('http://x/', { headers }))).text()
    expect(rest.startsWith(`data: c\nid: ${id}-3\n\n`)).toBe(true)
  })
})

describe('a server that leaves', () => {
  test('lets its producers end, and starts no others', async () => {
    const { answers, streamer } = setUp()
    let finish!: (value: string) => void
    await answers.start('a', () => new Promise((resolve) => (finish = resolve)))
    const reading = all(answers, 'a')
    await until('the producer', () => finish !== undefined)
    const server = createServer().listen(0)
    const leaving = streamer.shutdown(server)
    await expect(answers.start('b', endless)).rejects.toMatchObject({ status: 503 })
    finish('in time')
    await leaving
    expect((await reading).end).toEqual({ kind: 'done', data: 'in time' })
  })

  test('ends as failed what is not over in `drain.producers`', async () => {
    const { answers, streamer, clock } = setUp({ drain: { producers: 1_000 } })
    await answers.start('a', endless)
    const reading = all(answers, 'a')
    const leaving = streamer.drain()
    clock.advance(1_000)
    await leaving
    expect((await reading).end).toMatchObject({ kind: 'failed', code: 'server-stopped' })
  })
})

test('1,000 parts of 63 bytes take at most 50 bytes each beside their own', async () => {
  const store = new MemoryStore()
  const { answers } = setUp({ store })
  const { id } = await answers.start('a', ({ append }) => {
    for (let n = 0; n < 1_000; n++) append('x'.repeat(63))
  })
  await all(answers, 'a')
  expect(store.feed(id)!.log.held / 1_000).toBeLessThanOrEqual(63 + 50)
})
