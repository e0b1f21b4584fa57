import { memoryDriver } from '../../../src/drivers/memory.js'
import { Streamer } from '../../../src/streamer.js'
import { FakeEngine } from '../../support/fake-directory.js'
import { FakeResponse, fakeRequest } from '../../support/fake-response.js'
import { Page, turns } from '../../support/stage.js'
import type { LogServer } from '../../support/stub-log.js'
import { StubLog } from '../../support/stub-log.js'
import { until } from '../../support/until.js'

/** Servers that share a directory and a log. */
class Cluster {
  readonly engine = new FakeEngine()
  readonly log = new StubLog()
  readonly servers: { streamer: Streamer; driver: LogServer }[] = []

  async start(): Promise<Streamer> {
    const driver = this.log.server()
    const options = { heartbeatInterval: 0, topicLinger: 0, takeoverTimeout: 50 }
    const streamer = new Streamer(driver, { directory: this.engine.directory(), ...options })
    this.servers.push({ streamer, driver })
    await streamer.open()
    return streamer
  }

  async close(): Promise<void> {
    await Promise.all(this.servers.map(({ streamer }) => streamer.close()))
  }
}

async function connect(streamer: Streamer, id: string, lastEventId?: string): Promise<Page> {
  const response = new FakeResponse()
  await streamer.handle(fakeRequest(id, lastEventId), response.asResponse)
  return new Page(response)
}

describe('where all servers read one log', () => {
  let cluster: Cluster
  beforeEach(() => (cluster = new Cluster()))
  afterEach(() => cluster.close())

  test('a client that hops servers on every message gets each exactly once, in order', async () => {
    const all = [await cluster.start(), await cluster.start(), await cluster.start()]
    const { id } = await all[0]!.newClient()
    await all[1]!.subscribe(id, 'a')
    await all[2]!.subscribe(id, 'b')
    const sent: string[] = []
    const got: string[] = []
    const publish = (count: number) => {
      for (let i = 0; i < count; i++) {
        const topics = sent.length % 3 === 0 ? ['a', 'b'] : [sent.length % 3 === 1 ? 'a' : 'b']
        const payload = String(sent.length)
        cluster.log.publish(topics, payload)
        sent.push(payload)
      }
    }
    let lastEventId: string | undefined
    for (let hop = 0; hop < 30; hop++) {
      publish(2)
      const page = await connect(all[hop % 3]!, id, lastEventId)
      publish(1)
      await until('the newest message', () =>
        page.got.some((text) => text.endsWith(`=${sent.at(-1)}`)),
      )
      got.push(...page.got)
      lastEventId = page.lastEventId
      page.response.destroy()
    }
    const wanted = sent.flatMap((payload, i) =>
      i % 3 === 0 ? [`a=${payload}`, `b=${payload}`] : [`${i % 3 === 1 ? 'a' : 'b'}=${payload}`],
    )
    expect(got).toEqual(wanted)
  })

  test('one that names no position is told, and goes on after what the former server wrote to it', async () => {
    const [a, b] = [await cluster.start(), await cluster.start()]
    const { id } = await a.newClient()
    await a.subscribe(id, 'news')
    cluster.log.publish(['news'], '1')
    const first = await connect(a, id)
    await until('the first message', () => first.got.includes('news=1'))
    cluster.log.publish(['news'], '2')
    await until('the second message', () => first.got.includes('news=2'))
    const second = await connect(b, id)
    cluster.log.publish(['news'], '3')
    await until('the third message', () => second.got.includes('news=3'))
    // Whether it got the first two, nobody knows.
    expect(second.got).toEqual(['messages-lost:news', 'news=3'])
    expect(first.got).toEqual(['news=1', 'news=2', 'replaced:'])
  })

  test('one that was subscribed on one server and first connects to another misses nothing', async () => {
    const [a, b] = [await cluster.start(), await cluster.start()]
    const { id } = await a.newClient()
    cluster.log.publish(['news'], 'before')
    await a.subscribe(id, 'news')
    cluster.log.publish(['news'], '1')
    const page = await connect(b, id)
    cluster.log.publish(['news'], '2')
    await until('the second message', () => page.got.includes('news=2'))
    expect(page.got).toEqual(['news=1', 'news=2'])
  })

  test('one whose server was killed goes on from the position that it names', async () => {
    const [a, b] = [await cluster.start(), await cluster.start()]
    const { id } = await a.newClient()
    await a.subscribe(id, 'news')
    const first = await connect(a, id)
    cluster.log.publish(['news'], '1')
    await until('the first message', () => first.got.includes('news=1'))
    for (const name of cluster.engine.hosts.keys()) cluster.engine.stopped.add(name)
    cluster.log.publish(['news'], '2')
    const second = await connect(b, id, first.lastEventId)
    cluster.log.publish(['news'], '3')
    await until('the third message', () => second.got.includes('news=3'))
    const got = [...new Set([...first.got, ...second.got])].filter((text) => text !== 'replaced:')
    expect(got).toEqual(['news=1', 'news=2', 'news=3'])
    expect(second.got.filter((text) => text.startsWith('messages-lost'))).toEqual([])
  })

  test('a server that was stopped sends nothing before it knows that its clients are its own', async () => {
    const a = await cluster.start()
    const { id } = await a.newClient()
    await a.subscribe(id, 'news')
    const page = await connect(a, id)
    cluster.log.publish(['news'], '1')
    await until('the first message', () => page.got.includes('news=1'))
    const [host] = cluster.engine.hosts.values()
    host!.lapsed()
    cluster.log.publish(['news'], '2')
    // Whatever it is that has its clients brought on.
    cluster.log.remake()
    await turns()
    expect(page.got).toEqual(['news=1'])
    // It writes the client to the directory, and so finds out.
    await a.subscribe(id, 'other')
    await until('what was missed', () => page.got.includes('messages-lost:news'))
  })

  test('one with a topic that its new server cannot open is told, and gets its other topics', async () => {
    const [a, b] = [await cluster.start(), await cluster.start()]
    const { id } = await a.newClient()
    await a.subscribe(id, 'bad')
    await a.subscribe(id, 'news')
    const first = await connect(a, id)
    cluster.log.publish(['news'], '1')
    await until('the first message', () => first.got.includes('news=1'))
    await b.newClient()
    cluster.servers[1]!.driver.refusals = 1
    const second = await connect(b, id, first.lastEventId)
    cluster.log.publish(['news'], '2')
    await until('the second message', () => second.got.includes('news=2'))
    expect(second.got.toSorted()).toEqual(['news=2', 'subscription-failure:bad'])
  })
})

test('without a log, one that was elsewhere unawares is told when it comes back with an old position', async () => {
  const engine = new FakeEngine()
  const drivers = [memoryDriver(), memoryDriver()]
  const [a, b] = drivers.map(
    (driver) => new Streamer(driver, { directory: engine.directory(), heartbeatInterval: 0 }),
  ) as [Streamer, Streamer]
  const publish = (payload: string) => drivers.forEach((driver) => driver.publish('news', payload))
  try {
    await Promise.all([a.open(), b.open()])
    const { id } = await a.newClient()
    await a.subscribe(id, 'news')
    const first = await connect(a, id)
    publish('1')
    await until('the first message', () => first.got.includes('news=1'))
    // Its request reached the other server, and the answer never reached it.
    await connect(b, id, first.lastEventId)
    publish('2')
    const back = await connect(a, id, first.lastEventId)
    publish('3')
    await until('the third message', () => back.got.includes('news=3'))
    expect(back.got).toEqual(['messages-lost:news', 'news=3'])
  } finally {
    await Promise.all([a.close(), b.close()])
  }
})
