import { Timers } from '../../src/clock.js'
import { Turnstile } from '../../src/service/turnstile.js'
import { Streamer } from '../../src/streamer.js'
import { FakeEngine } from '../support/fake-directory.js'
import { FakeResponse, fakeRequest } from '../support/fake-response.js'
import { ManualClock } from '../support/manual-clock.js'
import type { Page } from '../support/stage.js'
import { openPage, Stage, turns } from '../support/stage.js'
import { StubLog } from '../support/stub-log.js'
import { until } from '../support/until.js'
import { Servers } from './directories/cluster-suite.js'

const MEBIBYTE = 1024 * 1024

let stage: Stage

describe('the memory of connections that accept no bytes', () => {
  afterEach(() => stage.dispose())

  async function pages(count: number): Promise<Page[]> {
    const opened: Page[] = []
    for (let i = 0; i < count; i++) {
      await stage.client(`c${i}`, 'big')
      opened.push(await stage.connect(`c${i}`))
    }
    return opened
  }

  async function publish(): Promise<void> {
    stage.driver.publish('big', 'x'.repeat(MEBIBYTE))
    await turns()
  }

  test('has a budget where they stall one after the other: the first to stall go first', async () => {
    stage = new Stage({ history: { maxBytes: 4 * MEBIBYTE } })
    const opened = await pages(12)
    let most = 0
    for (const page of opened) {
      page.response.stopReading()
      await publish()
      most = Math.max(most, stage.streamer.stats().stalled.bytes)
    }
    expect(most).toBeLessThanOrEqual(4 * MEBIBYTE)
    expect(stage.streamer.stats()).toMatchObject({
      connections: 3,
      stalled: { connections: 3 },
      disconnects: { slow: 9 },
    })
    expect(opened.map(({ response }) => response.destroyed)).toEqual([
      ...Array<boolean>(9).fill(true),
      ...Array<boolean>(3).fill(false),
    ])
    // Who was let go comes back, and is told what the history has not kept.
    const back = await stage.connect('c0', opened[0]!.lastEventId)
    expect(back.got[0]).toBe('messages-lost:big')
    // Who stays gets the rest, in order, and frees its part.
    for (const { response } of opened.slice(9)) response.read(Infinity)
    await turns()
    expect(stage.streamer.stats().stalled).toEqual({ connections: 0, bytes: 0 })
    expect(opened[11]!.got.at(-1)).toBe(`big=${'x'.repeat(MEBIBYTE)}`)
  })

  test('counts once what those share that stall at the same message', async () => {
    stage = new Stage({ history: { maxBytes: 2 * MEBIBYTE } })
    const opened = await pages(12)
    for (const { response } of opened) response.stopReading()
    for (let i = 0; i < 5; i++) await publish()
    const { connections, stalled } = stage.streamer.stats()
    expect([connections, stalled.connections]).toEqual([12, 12])
    expect(stalled.bytes).toBeLessThan(1.01 * MEBIBYTE)
  })

  test('is not limited with Infinity, and maxStalledBytes may differ from the history', async () => {
    stage = new Stage({ history: { maxBytes: 2 * MEBIBYTE }, maxStalledBytes: Infinity })
    for (const { response } of await pages(6)) {
      response.stopReading()
      await publish()
    }
    expect(stage.streamer.stats()).toMatchObject({ connections: 6, disconnects: { slow: 0 } })
  })
})

describe('a message larger than maxMessageBytes', () => {
  test('is told as lost in its place, measured in UTF-8, and the topic goes on', async () => {
    stage = new Stage({ maxMessageBytes: 10 })
    await stage.client('c', 'a')
    const page = await stage.connect('c')
    const payloads = [
      '1',
      '0123456789',
      '0123456789x',
      'ééééé',
      'éééééé',
      Buffer.alloc(11, 65),
      '2',
    ]
    for (const payload of payloads) stage.driver.publish('a', payload)
    await turns()
    const lost = 'messages-lost:a'
    expect(page.got).toEqual(['a=1', 'a=0123456789', lost, 'a=ééééé', lost, lost, 'a=2'])
    expect(stage.streamer.stats()).toMatchObject({ received: 7, refused: 3, gaps: 0 })
    // It has a position, so a client that comes back behind it is not told again.
    const again = await stage.connect('c', page.lastEventId)
    expect(again.got).toEqual([])
    await stage.dispose()
  })

  test('is told in its place also where a log is read again', async () => {
    const log = new StubLog()
    const options = { maxMessageBytes: 10, history: { maxBytesPerTopic: 1 } }
    const streamer = new Streamer(log.server(), { ...options, heartbeatInterval: 0 })
    const first = await openPage(streamer, ['a'])
    log.publish(['a'], '1')
    await until('the first', () => first.got.length === 1)
    const { lastEventId } = first
    for (const payload of ['2', 'x'.repeat(11), '3']) log.publish(['a'], payload)
    await until('all of it', () => first.got.length === 4)
    const second = await openPage(streamer, ['a'], lastEventId)
    await until('all of it again', () => second.got.length === 3)
    expect(second.got).toEqual(['a=2', 'messages-lost:a', 'a=3'])
    expect(second.got).toEqual(first.got.slice(1))
    await streamer.close()
  })
})

describe('open topics', () => {
  afterEach(() => stage.dispose())
  const open = () => stage.driver.openings.filter(({ closes }) => closes === 0)
  const openNames = () => open().map(({ topic }) => topic)

  test('beyond maxOpenTopics take the place of those that linger longest, or are refused', async () => {
    stage = new Stage({ maxOpenTopics: 3, topicLinger: 10_000 })
    await stage.client('c', 'a', 'b', 'c')
    await stage.streamer.unsubscribe('c', 'b')
    await stage.streamer.unsubscribe('c', 'a')
    await stage.client('d', 'd')
    await turns()
    expect(openNames().toSorted()).toEqual(['a', 'c', 'd'])
    await stage.streamer.subscribe('d', 'a')
    await expect(stage.streamer.subscribe('d', 'e')).rejects.toMatchObject({
      code: 'ERR_UNIFROST_TOO_MANY_OPEN_TOPICS',
      status: 503,
      headers: { 'Retry-After': '5' },
    })
    expect(stage.driver.openings).toHaveLength(4)
    expect(stage.streamer.getClient('d')!.topics).toEqual(['d', 'a'])
    // One that is open has room for any number of clients.
    await stage.streamer.subscribe('d', 'c')
  })

  test('count for the owner who has opened them, or else for the address', async () => {
    stage = new Stage({ maxOpenTopicsPerOwner: 2, maxOpenTopicsPerAddress: 1, topicLinger: 10_000 })
    const { streamer } = stage
    await streamer.newCustomClient('m1', { owner: 'mallory', address: '192.0.2.1' })
    await streamer.newCustomClient('m2', { owner: 'mallory', address: '192.0.2.2' })
    await streamer.newCustomClient('nobody', { address: '192.0.2.1' })
    await streamer.newCustomClient('app')
    await streamer.subscribe('m1', 'a')
    await streamer.subscribe('m2', 'b')
    await expect(streamer.subscribe('m1', 'c')).rejects.toMatchObject({
      status: 429,
      limit: 2,
      message: expect.stringContaining('This owner has opened 2 topics') as string,
    })
    await streamer.subscribe('nobody', 'c')
    await streamer.subscribe('nobody', 'a')
    await expect(streamer.subscribe('nobody', 'd')).rejects.toMatchObject({
      message: expect.stringContaining('This address has opened 1 topics') as string,
    })
    for (const topic of ['d', 'e', 'f']) await streamer.subscribe('app', topic)
    // Its own lingering topic makes room, nobody else's.
    await streamer.unsubscribe('app', 'd')
    await streamer.unsubscribe('m2', 'b')
    await streamer.subscribe('m1', 'g')
    await turns()
    expect(openNames().toSorted()).toEqual(['a', 'c', 'd', 'e', 'f', 'g'])
  })

  test('that the broker refuses or ends give their room back', async () => {
    stage = new Stage({ maxOpenTopics: 1, maxOpenTopicsPerOwner: 1, topicLinger: 0 })
    await stage.streamer.newCustomClient('c', { owner: 'alice' })
    stage.driver.direct = false
    const subscribing = stage.streamer.subscribe('c', 'a')
    await turns()
    stage.driver.last('a').refuse(new Error('no'))
    await expect(subscribing).rejects.toMatchObject({ code: 'ERR_UNIFROST_SUBSCRIBE' })
    stage.driver.direct = true
    await stage.streamer.subscribe('c', 'b')
    stage.driver.last('b').sink.fail(new Error('over'))
    await turns()
    await stage.streamer.subscribe('c', 'd')
    await stage.streamer.unsubscribe('c', 'd')
    await stage.streamer.subscribe('c', 'e')
    expect(stage.streamer.stats().topics).toBe(1)
  })
})

describe('maxClients is exact', () => {
  test('while clients are written into the directory, and when clients move here', async () => {
    const engine = new FakeEngine()
    const servers = new Servers(() => engine.directory(), { takeoverTimeout: 50 })
    const [small, large] = [await servers.start({ maxClients: 3 }), await servers.start()]
    const made = await Promise.allSettled(
      Array.from({ length: 10 }, () => small.newClient({ owner: 'alice' })),
    )
    expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(3)
    expect(small.totalClients).toBe(3)
    await small.revoke('alice')
    const others = await Promise.all(Array.from({ length: 10 }, () => large.newClient()))
    const moved = await Promise.all(others.map(({ id }) => servers.connect(small, id)))
    const statuses = moved.map(({ response }) => response.statusCode)
    expect(statuses.filter((status) => status === 200)).toHaveLength(3)
    expect(statuses.filter((status) => status === 503)).toHaveLength(7)
    expect(small.totalClients).toBe(3)
    expect(large.totalClients).toBe(7)
    await expect(small.newClient()).rejects.toMatchObject({ status: 503 })
    await servers.close()
  })

  test('while the directory refuses: room that was taken for nothing is given back', async () => {
    const engine = new FakeEngine()
    const servers = new Servers(() => engine.directory())
    const streamer = await servers.start({ maxClients: 2, maxClientsPerOwner: 1 })
    await streamer.newCustomClient('c')
    engine.goAway()
    for (let i = 0; i < 3; i++) {
      await expect(streamer.newClient({ owner: 'alice' })).rejects.toMatchObject({
        code: 'ERR_UNIFROST_DIRECTORY_UNAVAILABLE',
      })
    }
    engine.comeBack()
    await expect(streamer.newCustomClient('c')).rejects.toMatchObject({
      code: 'ERR_UNIFROST_CLIENT_EXISTS',
    })
    await streamer.newClient({ owner: 'alice' })
    await expect(streamer.newClient()).rejects.toMatchObject({ status: 503 })
    await servers.close()
  })
})

test('an owner has one stream with a limit of one: a client replaces only its own', async () => {
  stage = new Stage({ maxConnectionsPerOwner: 1, maxConnectionAge: 1_000, random: () => 0 })
  const connect = async (id: string) => {
    const response = new FakeResponse()
    await stage.streamer.handle(fakeRequest(id), response.asResponse, { owner: 'alice' })
    return response
  }
  for (const id of ['c', 'd']) await stage.streamer.newCustomClient(id, { owner: 'alice' })
  expect((await connect('c')).statusCode).toBe(200)
  const second = await connect('c')
  expect(second.statusCode).toBe(200)
  expect((await connect('d')).statusCode).toBe(429)
  // The stream is at its end, and the peer does not take the goodbye.
  await stage.streamer.subscribe('c', 'a')
  second.stopReading()
  stage.driver.publish('a', 'x'.repeat(100_000))
  await turns()
  await stage.wait(1_000)
  expect((await connect('d')).statusCode).toBe(200)
  expect(second.closed).toBe(false)
  expect((await connect('c')).statusCode).toBe(429)
  await stage.dispose()
})

test('clients count for their owner, or else for their address, until they expire', async () => {
  stage = new Stage({ maxClientsPerOwner: 2, maxClientsPerAddress: 1, clientTTL: 1_000 })
  const { streamer } = stage
  const address = '192.0.2.1'
  const make = (owner: string | false = false) => streamer.newClient({ owner, address })
  await make('alice')
  await make('alice')
  await expect(make('alice')).rejects.toMatchObject({
    code: 'ERR_UNIFROST_TOO_MANY_CLIENTS',
    status: 429,
    headers: { 'Retry-After': '5' },
    message: expect.stringContaining('This owner has 2 clients') as string,
  })
  await make()
  await expect(make()).rejects.toMatchObject({
    message: expect.stringContaining('This address has 1 clients') as string,
  })
  await make('bob')
  for (let i = 0; i < 5; i++) await streamer.newClient()
  await stage.wait(1_000)
  await make('alice')
  await make()
  await stage.dispose()
})

describe('calls that wait their turn', () => {
  test('run in order, as many at once as may, also after errors', async () => {
    const timers = new Timers(new ManualClock())
    const turnstile = new Turnstile(2, timers)
    const began: number[] = []
    const ends: (() => void)[] = []
    const calls = [0, 1, 2, 3, 4].map((i) =>
      turnstile.run(() => {
        began.push(i)
        if (i === 2) throw new Error('no')
        return new Promise<void>((resolve) => (ends[i] = resolve))
      }),
    )
    const settled = Promise.allSettled(calls)
    await turns()
    expect(began).toEqual([0, 1])
    ends[1]!()
    await turns()
    expect(began).toEqual([0, 1, 2, 3])
    ends[3]!()
    await turns()
    ends[0]!()
    ends[4]!()
    expect((await settled).map(({ status }) => status)).toEqual([
      ...['fulfilled', 'fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
    ])
    timers.stop()
  })

  test('that never settle give their place to the next after half a minute', async () => {
    const clock = new ManualClock()
    const timers = new Timers(clock)
    const turnstile = new Turnstile(2, timers)
    const hangs = () => new Promise<string>(() => undefined)
    void turnstile.run(hangs)
    void turnstile.run(hangs)
    const next = turnstile.run(() => 'next')
    clock.advance(29_000)
    await turns()
    let done = false
    void next.then(() => (done = true))
    await turns()
    expect(done).toBe(false)
    clock.advance(1_000)
    expect(await next).toBe('next')
    timers.stop()
    expect(clock.pending).toBe(0)
  })
})
