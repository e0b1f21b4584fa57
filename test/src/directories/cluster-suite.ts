import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Directory } from '../../../src/directory.js'
import type { StreamerOptions } from '../../../src/options.js'
import { Streamer } from '../../../src/streamer.js'
import { FakeResponse, fakeRequest } from '../../support/fake-response.js'
import { Page } from '../../support/stage.js'
import { StubDriver } from '../../support/stub-driver.js'
import { until } from '../../support/until.js'

/** Servers of one cluster, with one broker that all read. */
export class Servers {
  readonly streamers: Streamer[] = []
  readonly drivers: StubDriver[] = []
  readonly warnings: string[] = []

  constructor(
    private readonly make: () => Directory,
    private readonly options: StreamerOptions = {},
  ) {}

  async start(options: StreamerOptions = {}): Promise<Streamer> {
    const driver = new StubDriver()
    const warn = (_: object, message: string) => void this.warnings.push(message)
    const logger = { debug: warn, info: warn, warn, error: warn }
    const server = `s${this.streamers.length}`
    const directory = this.make()
    const streamer = new Streamer(driver, {
      ...{ directory, server, logger, heartbeatInterval: 0, topicLinger: 0 },
      ...this.options,
      ...options,
    })
    this.streamers.push(streamer)
    this.drivers.push(driver)
    await streamer.open()
    return streamer
  }

  /** As the broker: to every server that reads the topic. */
  publish(topic: string, payload: string): void {
    for (const { openings } of this.drivers) {
      const open = openings.findLast((opening) => opening.topic === topic)
      if (open?.closes === 0) open.sink.message(payload)
    }
  }

  async connect(streamer: Streamer, id: string, options: { owner?: string } = {}): Promise<Page> {
    const response = new FakeResponse()
    await streamer.handle(fakeRequest(id), response.asResponse, { id, ...options })
    return new Page(response)
  }

  async close(): Promise<void> {
    await Promise.all(this.streamers.map((streamer) => streamer.close()))
    for (const streamer of this.streamers) {
      const { clients, connections, topics } = streamer.stats()
      expect({ clients, connections, topics }).toEqual({ clients: 0, connections: 0, topics: 0 })
    }
  }
}

/** What several servers do together, whatever their directory stands on. */
export function clusterSuite(make: () => Directory): { name: string; run: () => Promise<void> }[] {
  const cases: Record<string, (servers: Servers) => Promise<void>> = {
    'a client that comes to another server is there what it was, and no longer here': async (
      servers,
    ) => {
      const [a, b] = [await servers.start(), await servers.start()]
      const { id } = await a.newClient({ owner: 'alice' })
      await a.subscribe(id, 'news')
      await a.subscribe(id, 'chat')
      const first = await servers.connect(a, id, { owner: 'alice' })
      servers.publish('news', '1')
      await until('the first message', () => first.got.includes('news=1'))

      const second = await servers.connect(b, id, { owner: 'alice' })
      expect(first.got).toEqual(['news=1', 'replaced:'])
      expect(a.getClient(id)).toBeUndefined()
      expect(b.getClient(id)?.topics.sort()).toEqual(['chat', 'news'])
      expect(b.getClient(id)?.owner).toBe('alice')
      // Without a log that both read, what came in between is not known.
      expect(second.got.sort()).toEqual(['messages-lost:chat', 'messages-lost:news'])
      servers.publish('news', '2')
      await until('the second message', () => second.got.includes('news=2'))
      expect(first.got).not.toContain('news=2')
      expect(await a.findClient(id)).toMatchObject({ id, owner: 'alice', connected: true })
    },

    'a client that nobody knows is refused, and one of another owner left as it is': async (
      servers,
    ) => {
      const [a, b] = [await servers.start(), await servers.start()]
      expect((await servers.connect(a, 'nobody')).refusal[0]).toBe(401)
      const { id } = await a.newClient({ owner: 'alice' })
      const page = await servers.connect(a, id, { owner: 'alice' })
      expect((await servers.connect(b, id, { owner: 'mallory' })).refusal[0]).toBe(403)
      expect((await servers.connect(b, id)).refusal[0]).toBe(403)
      expect(page.got).toEqual([])
      expect(a.getClient(id)?.connected).toBe(true)
    },

    'an id is taken on every server': async (servers) => {
      const [a, b] = [await servers.start(), await servers.start()]
      const id = `custom-${Math.random()}`
      const made = await Promise.allSettled([a.newCustomClient(id), b.newCustomClient(id)])
      const refused = made.filter(({ status }) => status === 'rejected')
      expect(refused).toMatchObject([{ reason: { code: 'ERR_UNIFROST_CLIENT_EXISTS' } }])
      await b.removeClient(id)
      await a.newCustomClient(id)
    },

    'topics are changed, and clients removed, from every server': async (servers) => {
      const [a, b] = [await servers.start(), await servers.start()]
      const { id } = await a.newClient()
      const page = await servers.connect(a, id)
      await b.subscribe(id, 'news')
      expect(a.getClient(id)?.topics).toEqual(['news'])
      servers.publish('news', '1')
      await until('the message', () => page.got.includes('news=1'))
      await b.unsubscribe(id, 'news')
      expect(a.getClient(id)?.topics).toEqual([])
      await expect(b.subscribe(id, '')).rejects.toMatchObject({ code: 'ERR_UNIFROST_TOPIC_NAME' })
      await b.removeClient(id)
      expect(page.got).toEqual(['news=1', 'Client closed'])
      expect(await b.findClient(id)).toBeUndefined()
      for (const streamer of [a, b]) {
        const none = { code: 'ERR_UNIFROST_NO_CLIENT' }
        await expect(streamer.removeClient(id)).rejects.toMatchObject(none)
        await expect(streamer.subscribe(id, 'x')).rejects.toMatchObject(none)
      }
    },

    "a topic that the holder's broker refuses is refused to who asked": async (servers) => {
      const [a, b] = [await servers.start(), await servers.start()]
      const { id } = await a.newClient()
      servers.drivers[0]!.direct = false
      const subscribing = b.subscribe(id, 'news')
      const opening = await until(
        'the holder asks its broker',
        () => servers.drivers[0]!.openings[0],
      )
      opening!.refuse(new Error('The broker says no.'))
      await expect(subscribing).rejects.toMatchObject({
        code: 'ERR_UNIFROST_SUBSCRIBE',
        topic: 'news',
      })
      expect(a.getClient(id)?.topics).toEqual([])
    },

    'an owner is locked out on all servers': async (servers) => {
      const [a, b, c] = [await servers.start(), await servers.start(), await servers.start()]
      const owner = `owner-${Math.random()}`
      const pages: Page[] = []
      for (const streamer of [a, b, c]) {
        const { id } = await streamer.newClient({ owner })
        pages.push(await servers.connect(streamer, id, { owner }))
      }
      const { id: away } = await c.newClient({ owner })
      await c.close()
      expect((await a.clientsOfOwner(owner)).clients).toBe(2)
      expect(await b.revoke(owner)).toEqual({ ended: 4, pending: [] })
      expect(pages.slice(0, 2).map(({ got }) => got)).toEqual([
        ['Client closed'],
        ['Client closed'],
      ])
      expect(await a.findClient(away)).toBeUndefined()
    },

    'clients are counted over all servers': async (servers) => {
      const [a, b] = [await servers.start(), await servers.start()]
      const topic = `topic-${Math.random()}`
      const { id } = await a.newClient()
      await a.subscribe(id, topic)
      await servers.connect(a, id)
      const { id: other } = await b.newClient()
      await b.subscribe(other, topic)
      expect(await a.clientsOf(topic)).toEqual({ clients: 2, connected: 1, silent: [] })
      expect(await b.clientsOf(topic)).toEqual({ clients: 2, connected: 1, silent: [] })
      expect(await b.totals()).toEqual({ clients: 2, connected: 1, silent: [] })
    },

    'a server that closes gives its clients to the others': async (servers) => {
      const [a, b] = [await servers.start(), await servers.start()]
      const { id } = await a.newClient()
      await a.subscribe(id, 'news')
      const page = await servers.connect(a, id)
      await a.close()
      // Nothing that a page could take for the end.
      expect(page.got).toEqual([])
      expect(page.response.writableEnded).toBe(true)
      const next = await servers.connect(b, id)
      expect(next.response.statusCode).toBe(200)
      expect(b.getClient(id)?.topics).toEqual(['news'])
      expect((await servers.connect(a, id)).refusal[0]).toBe(503)
    },

    'a client that hops between servers is on the last one only': async (servers) => {
      const all = [await servers.start(), await servers.start(), await servers.start()]
      const { id } = await all[0]!.newClient()
      await all[0]!.subscribe(id, 'news')
      let page: Page | undefined
      for (let hop = 0; hop < 12; hop++) {
        page?.response.destroy()
        page = await servers.connect(all[hop % 3]!, id)
        servers.publish('news', `hop ${hop}`)
        await until('the message', () => page!.got.includes(`news=hop ${hop}`))
      }
      await nextTurn()
      expect(all.map((streamer) => streamer.getClient(id) !== undefined)).toEqual([
        false,
        false,
        true,
      ])
    },

    'requests of one client to all servers at once leave it with one stream': async (servers) => {
      const all = [await servers.start(), await servers.start(), await servers.start()]
      const { id } = await all[0]!.newClient()
      await all[0]!.subscribe(id, 'news')
      for (let round = 0; round < 5; round++) {
        await Promise.all([...all, ...all].map((streamer) => servers.connect(streamer, id)))
        await until('one has it', () => {
          const holders = all.filter((streamer) => streamer.getClient(id)?.connected)
          return holders.length === 1
        })
        await all[round % 3]!.subscribe(id, `round ${round}`)
      }
      expect((await all[0]!.findClient(id))?.topics.length).toBe(6)
    },
  }

  return Object.entries(cases).map(([name, test]) => ({
    name,
    async run() {
      const servers = new Servers(make)
      try {
        await test(servers)
      } finally {
        await servers.close()
      }
    },
  }))
}
