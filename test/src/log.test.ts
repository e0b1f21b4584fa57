import { LogUnavailableError } from '../../src/errors.js'
import type { StreamerOptions } from '../../src/options.js'
import { Streamer } from '../../src/streamer.js'
import { FakeResponse, fakeRequest } from '../support/fake-response.js'
import { ManualClock } from '../support/manual-clock.js'
import { unsealed } from '../support/positions.js'
import { openPage, Page, turns } from '../support/stage.js'
import type { LogServer } from '../support/stub-log.js'
import { StubLog } from '../support/stub-log.js'

interface Server {
  driver: LogServer
  streamer: Streamer
}

const clock = new ManualClock()
let log: StubLog
let servers: Server[]

beforeEach(() => {
  log = new StubLog()
  servers = []
})
afterEach(async () => {
  await Promise.all(servers.map(({ streamer }) => streamer.close()))
})

function server(options: StreamerOptions = {}): Server {
  const driver = log.server()
  const streamer = new Streamer(driver, { clock, heartbeatInterval: 0, ...options })
  servers.push({ driver, streamer })
  return { driver, streamer }
}

/** What a page with its topics in its address does. */
async function connect({ streamer }: Server, topics: string[], after?: string): Promise<Page> {
  const page = await openPage(streamer, topics, after)
  for (let i = 0; i < 20; i++) await turns()
  return page
}

const many = (count: number) => Array.from({ length: count }, (_, index) => `a=${index + 1}`)
const number = (it: number) => String(it)

test('a client that moves to another server after every message gets each message once', async () => {
  const both = [server(), server()]
  let page = await connect(both[0]!, ['a'])
  const got: string[] = []
  for (let i = 1; i <= 20; i++) {
    log.publish(['a'], String(i), 1 + (i % 3))
    await turns()
    log.publish(['a'], `${i} and a half`)
    const { lastEventId } = page
    page.response.destroy()
    got.push(...page.got)
    page = await connect(both[i % 2]!, ['a'], lastEventId)
  }
  got.push(...page.got)
  const sent = log.entries.map(({ payload }) => `a=${payload}`)
  expect(got.filter((it, index) => got.indexOf(it) === index)).toEqual(sent)
  expect(got).toHaveLength(sent.length)
})

test('messages that the history has dropped are read from the log, once for all clients that wait', async () => {
  const one = server({ history: { maxBytes: 5_000 } })
  const first = await connect(one, ['a', 'b'])
  const { lastEventId } = first
  for (let i = 0; i < 200; i++) log.publish(['a'], number)
  await turns()
  const others = await Promise.all([0, 1, 2].map(() => connect(one, ['a', 'b'], lastEventId)))
  for (const page of [first, ...others]) expect(page.got).toEqual(many(200))
  expect(one.driver.reads.map(([topics, after]) => [topics, after])).toEqual([[['a', 'b'], 0]])
  expect(one.streamer.stats()).toMatchObject({ messagesLost: 0, resumes: { exact: 3, lost: 0 } })
  expect(one.streamer.stats().history.bytes).toBeLessThanOrEqual(5_000)
})

test('the log is not read for a client that is up to date', async () => {
  const one = server()
  const { lastEventId } = await connect(one, ['a'])
  for (let i = 0; i < 3; i++) log.publish(['a'], number)
  expect((await connect(one, ['a'], lastEventId)).got).toEqual(many(3))
  expect(one.driver.reads).toEqual([])
})

test('messages that the log no longer has give messages-lost, and later ones follow', async () => {
  const { lastEventId } = await connect(server(), ['a'])
  for (let i = 0; i < 10; i++) log.publish(['a'], number)
  log.trim(4)
  const two = server()
  const page = await connect(two, ['a'], lastEventId)
  expect(page.got).toEqual(['messages-lost:a', ...many(10).slice(4)])
  expect(two.streamer.stats()).toMatchObject({ messagesLost: 1, resumes: { exact: 0, lost: 1 } })
})

test('a loss in the middle of what is read again is told in its place, for each who reads it', async () => {
  const { lastEventId } = await connect(server(), ['a'])
  for (let i = 0; i < 10; i++) log.publish(['a'], number).spoiled = i === 4
  const two = server()
  const right = [...many(10).slice(0, 4), 'messages-lost:a', ...many(10).slice(5)]
  const first = await connect(two, ['a'], lastEventId)
  expect(first.got).toEqual(right)
  // One who comes later, when the server has met the loss, gets as much.
  expect((await connect(two, ['a'], lastEventId)).got).toEqual(right)
})

test('when the log is made anew, all clients get messages-lost and go on', async () => {
  const [one, two] = [server(), server()]
  const page = await connect(one, ['a'])
  for (let i = 0; i < 3; i++) log.publish(['a'], number)
  await turns()
  const { lastEventId } = page
  log.remake()
  log.publish(['a'], 'new')
  await turns()
  expect(page.got).toEqual([...many(3), 'messages-lost:a', 'a=new'])
  const other = await connect(two, ['a'], lastEventId)
  log.publish(['a'], 'newer')
  await turns()
  expect(other.got).toEqual(['messages-lost:a', 'a=newer'])
  expect(unsealed(other.lastEventId)).toBe('log2-2')
})

test('a connection may break between the topics of one entry', async () => {
  const both = [server(), server()]
  const page = await connect(both[0]!, ['b', 'a', 'ä c'])
  log.publish(['a', 'b', 'ä c'], 'x')
  log.publish(['b'], 'y')
  await turns()
  const all = ['a=x', 'b=x', 'ä c=x', 'b=y']
  expect(page.got).toEqual(all)
  const ids = page.events.slice(1).map(({ lastEventId }) => lastEventId)
  expect(ids.map(unsealed)).toEqual(['log1-1.a', 'log1-1.b', 'log1-1.%C3%A4%20c', 'log1-2'])
  for (const [index, id] of ids.entries()) {
    for (const one of both) {
      const resumed = await connect(one, ['b', 'a', 'ä c'], id)
      expect(resumed.got).toEqual(all.slice(index + 1))
      const { lastEventId } = resumed.events[0]!
      expect(lastEventId).toBe(id)
    }
  }
})

test('also if one of its topics is opened here after the entry came', async () => {
  const [one, two] = [server(), server()]
  const { lastEventId } = await connect(two, ['a', 'b'])
  await connect(one, ['a'])
  log.publish(['a', 'b'], 'x')
  await turns()
  const page = await connect(one, ['a', 'b'], lastEventId)
  expect(page.got).toEqual(['a=x', 'b=x'])
  const ids = page.events.slice(1).map((event) => unsealed(event.lastEventId))
  expect(ids).toEqual(['log1-1.a', 'log1-1.b'])
})

test('a server that is behind waits until it has reached the position', async () => {
  const [one, two] = [server(), server()]
  await connect(two, ['a'])
  two.driver.lags = true
  const page = await connect(one, ['a'])
  log.publish(['a'], '1')
  await turns()
  const behind = await connect(two, ['a'], page.lastEventId)
  log.publish(['a'], '2')
  two.driver.pump()
  await turns()
  expect(behind.got).toEqual(['a=2'])
  const ahead = await connect(one, ['a'], 'log1-1000')
  expect(ahead.got).toEqual(['messages-lost:a'])
})

test('heartbeats carry the position, as a bare id or in a message', async () => {
  for (const heartbeat of ['comment', 'message'] as const) {
    const one = server({ heartbeat, heartbeatInterval: 1_000 })
    const page = await connect(one, ['a'])
    log.publish(['z'], 'for nobody here')
    clock.advance(1_000)
    await turns()
    expect(unsealed(page.lastEventId)).toBe(`log1-${log.last}`)
    expect(page.got).toEqual(heartbeat === 'message' ? ['{"heartbeat":true}'] : [])
  }
})

test('no client can be made until the log is open', async () => {
  const one = server()
  one.driver.refusals = 1
  const refused = one.streamer.newClient()
  await expect(refused).rejects.toThrow(LogUnavailableError)
  await expect(refused).rejects.toMatchObject({ status: 503, headers: { 'Retry-After': '5' } })
  await one.streamer.newClient()
})

test('a log that can not be read is tried again, and then gives messages-lost', async () => {
  for (const [refusals, expected] of [
    [2, many(3)],
    [100, ['messages-lost:a']],
  ] as const) {
    log = new StubLog()
    const { lastEventId } = await connect(server(), ['a'])
    for (let i = 0; i < 3; i++) log.publish(['a'], number)
    const two = server()
    await connect(two, ['a'])
    two.driver.refusals = refusals
    const page = await connect(two, ['a'], lastEventId)
    for (let i = 0; i < 6; i++) {
      clock.advance(1_000)
      for (let j = 0; j < 5; j++) await turns()
    }
    expect(page.got).toEqual(expected)
  }
})

test('a gap gives messages-lost also if no number is left between two of the log', async () => {
  log.last = 2 ** 51
  const one = server()
  const { id } = await one.streamer.newClient()
  await one.streamer.subscribe(id, 'a')
  const listen = async () => {
    const response = new FakeResponse()
    await one.streamer.handle(fakeRequest(id), response.asResponse)
    await turns()
    return new Page(response)
  }
  for (let i = 0; i < 4; i++) {
    const page = await listen()
    page.response.destroy()
    await turns()
    one.driver.sinkOf('a')!.gap('again')
    await turns()
    expect((await listen()).got).toContain('messages-lost:a')
  }
})
