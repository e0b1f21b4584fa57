import { memoryDriver } from '../../../src/drivers/memory.js'
import { Streamer } from '../../../src/streamer.js'
import { FakeEngine } from '../../support/fake-directory.js'
import { FakeResponse, fakeRequest } from '../../support/fake-response.js'
import { Page, turns } from '../../support/stage.js'
import { StubLog } from '../../support/stub-log.js'

const TOPICS = [
  { match: ['a', 'c'], retain: 1, end: (payload: string) => payload === 'done' },
  { match: 'p', conflate: { by: (payload: string) => payload.split(':')[0]! } },
]
const END = '{"end":{"topic":"a"}}'

let engine: FakeEngine
let log: StubLog
let servers: Streamer[]

beforeEach(() => {
  engine = new FakeEngine()
  log = new StubLog()
  servers = []
})
afterEach(async () => {
  await Promise.all(servers.map((server) => server.close()))
})

async function start(driver: ConstructorParameters<typeof Streamer>[0]): Promise<Streamer> {
  const options = { heartbeatInterval: 0, takeoverTimeout: 50, topics: TOPICS }
  const server = new Streamer(driver, { directory: engine.directory(), ...options })
  servers.push(server)
  await server.open()
  return server
}

/** A server on which the topic is open, so that it has its last values. */
async function startOpen(driver = log.server()): Promise<Streamer> {
  const server = await start(driver)
  const { id } = await server.newClient()
  for (const topic of ['a', 'c', 'b', 'p']) await server.subscribe(id, topic)
  return server
}

async function connect(server: Streamer, id: string, lastEventId?: string): Promise<Page> {
  const response = new FakeResponse()
  await server.handle(fakeRequest(id, lastEventId), response.asResponse)
  for (let i = 0; i < 20; i++) await turns()
  return new Page(response)
}

async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await turns()
}

describe('what topics keep, where a client moves to another server that reads the log', () => {
  test('its last values come on the server of its first stream', async () => {
    const [one, two] = [await startOpen(), await startOpen()]
    log.publish(['a'], '1')
    await settled()
    const { id } = await one.newClient()
    await one.subscribe(id, 'a')
    const page = await connect(two, id)
    log.publish(['a'], '2')
    await settled()
    expect(page.got).toEqual(['a=1', 'a=2'])
  })

  test('they come once to who has got them', async () => {
    const [one, two] = [await startOpen(), await startOpen()]
    log.publish(['a'], '1')
    log.publish(['c'], '2')
    await settled()
    const { id } = await one.newClient()
    for (const topic of ['a', 'c']) await one.subscribe(id, topic)
    const first = await connect(one, id)
    expect(first.got).toEqual(['a=1', 'c=2'])
    log.publish(['a'], '3')
    expect((await connect(two, id, first.lastEventId)).got).toEqual(['a=3'])
  })

  test('they come again, behind a told loss, to who may have been cut before them', async () => {
    const [one, two] = [await startOpen(), await startOpen()]
    log.publish(['a'], '1')
    log.publish(['b'], 'x')
    await settled()
    const { id } = await one.newClient()
    await one.subscribe(id, 'b')
    const first = await connect(one, id)
    const { lastEventId } = first
    await one.subscribe(id, 'a')
    first.cut()
    const second = await connect(two, id, lastEventId)
    expect(second.got).toEqual(['a=1', 'messages-lost:a'])
  })

  test('who names no position is told, and gets them again', async () => {
    const [one, two] = [await startOpen(), await startOpen()]
    log.publish(['a'], '1')
    await settled()
    const { id } = await one.newClient()
    await one.subscribe(id, 'a')
    await connect(one, id)
    expect((await connect(two, id)).got).toEqual(['messages-lost:a', 'a=1'])
  })

  test('the end is told there, also where it came while the client was away', async () => {
    const [one, two] = [await startOpen(), await startOpen()]
    const { id } = await one.newClient()
    await one.subscribe(id, 'a')
    const first = await connect(one, id)
    const { lastEventId } = first
    first.cut()
    for (const text of ['1', 'done', 'late']) log.publish(['a'], text)
    await settled()
    expect((await connect(two, id, lastEventId)).got).toEqual(['a=1', 'a=done', END])
  })

  test('a conflated topic gives the newest of each key', async () => {
    const [one, two] = [await startOpen(), await startOpen()]
    const { id } = await one.newClient()
    await one.subscribe(id, 'p')
    const first = await connect(one, id)
    const { lastEventId } = first
    first.cut()
    for (const text of ['x:1', 'y:1', 'x:2']) log.publish(['p'], text)
    await settled()
    expect((await connect(two, id, lastEventId)).got).toEqual(['p=y:1', 'p=x:2'])
  })
})

test('without a log, who moves is told the loss and gets the last values', async () => {
  const drivers = [memoryDriver(), memoryDriver()]
  const [one, two] = [await startOpen(drivers[0] as never), await startOpen(drivers[1] as never)]
  for (const driver of drivers) driver.publish('a', '1')
  await settled()
  const { id } = await one.newClient()
  await one.subscribe(id, 'a')
  expect((await connect(two, id)).got).toEqual(['messages-lost:a', 'a=1'])
})
