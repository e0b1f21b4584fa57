import { memoryDriver, Streamer } from 'unifrost'
import { FakeEngine } from '../support/fake-directory.js'
import { FakeResponse, fakeRequest } from '../support/fake-response.js'
import { Page } from '../support/stage.js'
import { until } from '../support/until.js'
import { Servers } from './directories/cluster-suite.js'

describe('rights, on several servers', () => {
  let servers: Servers
  let rights: Set<string>

  beforeEach(() => {
    const engine = new FakeEngine()
    rights = new Set(['news', 'secret'])
    const authorize = (_user: unknown, topic: string) => rights.has(topic)
    servers = new Servers(() => engine.directory(), { authorize, takeoverTimeout: 50 })
  })
  afterEach(() => servers.close())

  test('recheck reaches the clients of all servers', async () => {
    const [a, b] = [await servers.start(), await servers.start()]
    const { id } = await a.newClient({ owner: 'ann' })
    for (const topic of rights) await a.subscribe(id, topic)
    const page = await servers.connect(a, id, { owner: 'ann' })
    rights.delete('secret')
    expect(await b.recheck({ owner: 'ann' })).toEqual({ clients: 1, withdrawn: 1, pending: [] })
    servers.publish('secret', 'not for her')
    servers.publish('news', 'for her')
    await until('the message', () => page.got.includes('news=for her'))
    expect(page.got).toEqual(['forbidden-topic:secret', 'news=for her'])
    expect((await b.findClient(id))?.topics).toEqual(['news'])
  })

  test('a client that comes to another server is asked for there', async () => {
    const [a, b] = [await servers.start(), await servers.start()]
    const { id } = await a.newClient({ owner: 'ann' })
    for (const topic of rights) await a.subscribe(id, topic)
    await servers.connect(a, id, { owner: 'ann' })
    rights.delete('secret')
    const page = await servers.connect(b, id, { owner: 'ann' })
    expect(b.getClient(id)!.topics).toEqual(['news'])
    expect(page.got).toContain('forbidden-topic:secret')
  })

  test('reconnect ends the streams of all servers, and their clients stay', async () => {
    const [a, b] = [await servers.start(), await servers.start()]
    const { id } = await a.newClient({ owner: 'ann' })
    const page = await servers.connect(a, id, { owner: 'ann' })
    expect(await b.reconnect({ owner: 'ann' })).toEqual({ ended: 1, pending: [] })
    expect(page.response.writableEnded).toBe(true)
    await until('the end', () => !a.getClient(id)!.connected)
    expect(await b.findClient(id)).toMatchObject({ id })
  })
})

test.each([[undefined], [null], [''], [7]])(
  'handle with an id of %j is an error, and not what the address says',
  async (id) => {
    await using streamer = new Streamer(memoryDriver())
    await streamer.newCustomClient('mine')
    const response = new FakeResponse()
    await streamer.handle(fakeRequest('mine'), response.asResponse, { id } as never)
    expect(response.statusCode).toBe(500)
    expect(streamer.getClient('mine')!.connected).toBe(false)
  },
)

test('handle gives authorize its principal, or the owner', async () => {
  const asked: unknown[] = []
  const authorize = (user: unknown) => asked.push(user) > 0
  await using streamer = new Streamer(memoryDriver(), { authorize })
  const { id } = await streamer.newClient({ owner: 'ann' })
  await streamer.subscribe(id, 'news')
  for (const options of [
    { owner: 'ann' },
    { owner: 'ann', principal: { sub: 'ann', admin: true } },
  ]) {
    const response = new FakeResponse()
    await streamer.handle(fakeRequest(id), response.asResponse, options)
    expect(new Page(response).response.statusCode).toBe(200)
  }
  expect(asked).toEqual(['ann', { sub: 'ann', admin: true }])
})
