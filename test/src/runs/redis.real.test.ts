/** @needs a Redis server */
import { memoryDriver, Streamer } from 'unifrost'
import type { ReadPart, Run, Runs, RunsOptions } from 'unifrost/runs'
import { runs } from 'unifrost/runs'
import { redisRuns } from 'unifrost/runs/redis'
import type { RedisServer } from '../../brokers/redis.js'
import { startRedis } from '../../brokers/redis.js'
import type { Script } from '../../support/script.js'
import { startScript } from '../../support/script.js'
import { until } from '../../support/until.js'
import { eventsIn, readUntil } from './serving.js'

jest.setTimeout(60_000)

describe('runs in Redis', () => {
  let redis: RedisServer
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis.stop())

  const closing: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close()
  })

  let tests = 0
  beforeEach(() => void tests++)

  /** A server of its own, as far as Redis can tell. */
  function server(options: RunsOptions = {}, lease = 3_000): Runs {
    const streamer = new Streamer(memoryDriver())
    closing.push(() => streamer.close())
    const store = redisRuns(redis.adminUrl, { prefix: `t${tests}:`, lease })
    return runs(streamer, { store, ...options })
  }

  async function all(answers: Runs, name: string, from = 'start') {
    const reading = answers.read(name, { from })
    const parts: ReadPart[] = []
    for await (const part of reading) parts.push(part)
    return { data: parts.map(({ data }) => data), parts, end: reading.end }
  }

  const endless = ({ signal }: Run) =>
    new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))

  test('readers of every server get the same parts, whenever they come and wherever they go on', async () => {
    const [a, b, c] = [server(), server(), server()]
    let append!: Run['append']
    let finish!: (value: unknown) => void
    await a.start('chat', (run) => {
      append = run.append
      return new Promise((resolve) => (finish = resolve))
    })
    await until('the producer', () => append !== undefined)
    const expected = Array.from({ length: 300 }, (_, n) => ({ n, text: `Teil ${n} ✓` }))
    const early = [a, b].map((one) => all(one, 'chat'))
    for (const part of expected.slice(0, 150)) append(part)
    // A reader that hops to another server after every part.
    const hopping = (async () => {
      const data: unknown[] = []
      let from = 'start'
      for (let n = 0; n < expected.length; n++) {
        for await (const part of [a, b, c][n % 3]!.read('chat', { from })) {
          data.push(part.data)
          from = part.id!
          break
        }
      }
      return data
    })()
    for (const part of expected.slice(150)) {
      append(part)
      await new Promise((resolve) => setImmediate(resolve))
    }
    finish({ ok: true })
    for (const reading of [...early, all(c, 'chat')]) {
      const { data, end } = await reading
      expect(data).toEqual(expected)
      expect(end).toEqual({ kind: 'done', data: { ok: true } })
    }
    expect(await hopping).toEqual(expected)
  })

  test('of two starts at the same moment on two servers, one produces', async () => {
    const [a, b] = [server({ maxRuns: 1e6 }), server({ maxRuns: 1e6 })]
    for (let round = 0; round < 100; round++) {
      let calls = 0
      const produce = ({ append }: Run) => void append(++calls)
      const both = await Promise.all([a.start(`r${round}`, produce), b.start(`r${round}`, produce)])
      expect(both.map(({ started }) => started).sort()).toEqual([false, true])
      expect(both[0].id).toBe(both[1].id)
    }
  })

  test('a stop, a message and a pause reach the producer from another server', async () => {
    const [a, b] = [server(), server()]
    await a.start('chat', { owner: 'alice' }, async ({ wait, append, pause }) => {
      append(await wait())
      await wait()
      await pause()
    })
    expect(await b.tell('chat', { yes: 1 })).toMatchObject({ number: 1 })
    await b.tell('chat', 'two')
    await b.tell('chat', 'three')
    await until('it is paused', async () => (await b.status('chat'))?.state === 'paused', 10_000)
    const reading = all(a, 'chat')
    await b.resume('chat', async (run) => {
      expect(run.term).toBe(2)
      run.append(await run.wait())
      await endless(run)
    })
    await until(
      'two parts',
      async () => ((await a.status('chat')) as { parts: number }).parts === 2,
      10_000,
    )
    const since = performance.now()
    expect(await a.stop('chat')).toEqual({ was: 'running' })
    const { data, end } = await reading
    expect(performance.now() - since).toBeLessThan(10_000)
    expect(data).toEqual([{ yes: 1 }, 'three'])
    expect(end).toEqual({ kind: 'stopped' })
    expect(await b.stop('chat')).toEqual({ was: 'ended' })
    expect(await b.list('alice')).toMatchObject([{ name: 'chat', state: 'stopped', parts: 2 }])
    await expect(b.tell('chat', 'late')).rejects.toMatchObject({ status: 409 })
  })

  test('what has expired is told apart from what never was, and frees its room', async () => {
    const a = server({ keep: 50, maxRunsPerOwner: 1 })
    const b = server({ keep: 50, maxRunsPerOwner: 1 })
    await a.start('chat', { owner: 'alice' }, ({ append }) => void append('x'))
    await all(b, 'chat')
    await until('it is gone', async () => (await b.status('chat'))?.state === 'expired', 10_000)
    await expect(all(b, 'chat')).rejects.toMatchObject({ status: 410 })
    await expect(all(b, 'none')).rejects.toMatchObject({ status: 404 })
    await a.start('one', { owner: 'alice' }, endless)
    await expect(b.start('two', { owner: 'alice' }, endless)).rejects.toMatchObject({ status: 429 })
  })

  describe('a server whose process', () => {
    let script: Script
    beforeEach(async () => {
      const env = { REDIS: redis.adminUrl, PREFIX: `t${tests}:`, LEASE: '1500' }
      script = await startScript('test/src/runs/server.fixture.ts', env)
    })
    afterEach(async () => {
      await script.stop()
    })

    test('is killed: readers elsewhere keep what was written, and are told `server-lost`', async () => {
      const here = server({}, 1_500)
      await fetch(`${script.url}/start/chat`, { method: 'POST' })
      const reading = all(here, 'chat')
      const stream = await fetch(`${script.url}/stream/chat`)
      const text = await readUntil(stream, (so) => eventsIn(so).length >= 5)
      const seen = eventsIn(text)
      process.kill(script.pid, 'SIGKILL')
      const { parts, end } = await reading
      expect(end).toMatchObject({ kind: 'failed', code: 'server-lost' })
      expect(parts.slice(0, seen.length).map(({ id }) => id)).toEqual(seen.map(({ id }) => id))
      expect(parts.map(({ data }) => data)).toEqual(parts.map((_, n) => `part ${n + 1}`))
      // Who was cut off goes on here.
      const rest = await all(here, 'chat', seen[2]!.id)
      expect(rest.parts).toEqual(parts.slice(3))
      expect(rest.end).toEqual(end)
    })

    test('freezes and wakes up appends nothing to a run that another has begun meanwhile', async () => {
      const here = server({}, 1_500)
      await fetch(`${script.url}/start/chat`, { method: 'POST' })
      const reading = all(here, 'chat')
      await until(
        'parts',
        async () => ((await here.status('chat')) as { parts: number }).parts > 3,
        10_000,
      )
      process.kill(script.pid, 'SIGSTOP')
      const old = await reading
      expect(old.end).toMatchObject({ code: 'server-lost' })
      const { started } = await here.start('chat', async (run) => {
        run.append('new')
        await endless(run)
      })
      expect(started).toBe(true)
      process.kill(script.pid, 'SIGCONT')
      await until(
        'it knows',
        async () => (await (await fetch(`${script.url}/reason`)).text()) === 'server-lost',
        20_000,
      )
      await here.stop('chat')
      expect(await all(here, 'chat')).toMatchObject({ data: ['new'], end: { kind: 'stopped' } })
      const again = await all(here, 'chat', old.parts[0]!.id)
      expect(again.parts).toEqual(old.parts.slice(1))
    })
  })
})
