import { memoryDriver, OptionsError, Streamer, TooManyTopicsError } from '../../src/index.js'
import type { ClientOptions } from '../../src/index.js'
import { FakeEngine } from '../support/fake-directory.js'
import { FakeResponse, fakeRequest } from '../support/fake-response.js'
import { Page } from '../support/stage.js'
import { until } from '../support/until.js'

/** Two servers with one directory and one broker; or one server, asked twice, without a directory. */
class World {
  readonly engine = new FakeEngine()
  readonly drivers = [memoryDriver(), memoryDriver()] as const
  readonly a: Streamer
  readonly b: Streamer

  constructor(several: boolean) {
    const options = () => ({ ...(several && { directory: this.engine.directory() }), maxTopics: 3 })
    this.a = new Streamer(this.drivers[0], options())
    this.b = several ? new Streamer(this.drivers[1], options()) : this.a
  }

  publish(topic: string, text: string): void {
    for (const driver of this.drivers) driver.publish(topic, text)
  }

  async open(streamer: Streamer, id: string): Promise<Page> {
    const response = new FakeResponse()
    await streamer.handle(fakeRequest(id), response.asResponse, { owner: 'ann' })
    return new Page(response)
  }

  /** A client with a stream; an automatic one with `transient`. */
  async page(streamer: Streamer, options: ClientOptions): Promise<Page & { id: string }> {
    const { id } = await streamer.newClient(options)
    return Object.assign(await this.open(streamer, id), { id })
  }

  async close(): Promise<void> {
    await Promise.all([this.a.close(), this.b.close()])
  }
}

describe.each([
  ['one server', false],
  ['two servers', true],
])('%s: which clients are meant', (_name, several) => {
  let world: World
  beforeEach(() => (world = new World(several)))
  afterEach(() => world.close())

  test.each([
    ['an owner', { owner: 'ann' }],
    ['a label', { tenant: 'acme' }],
  ])('%s: subscribe and unsubscribe reach all of them, automatic ones too', async (_, which) => {
    const { a, b } = world
    const labels = { tenant: 'acme' }
    const pages = [
      await world.page(a, { owner: 'ann', labels }),
      await world.page(b, { owner: 'ann', labels, transient: true }),
    ]
    const other = await world.page(b, { labels: { tenant: 'other' } })
    const done = await a.subscribe(which, ['news', 'room'])
    expect(done).toEqual({ clients: 2, automatic: 1, pending: [] })
    world.publish('news', '1')
    for (const page of pages) {
      await until('the message', () => page.got.length > 0)
      expect(page.got).toEqual(['news=1'])
    }
    expect(await b.unsubscribe(which, 'news')).toEqual({ clients: 2, automatic: 1, pending: [] })
    world.publish('news', '2')
    world.publish('room', '3')
    for (const page of pages) {
      await until('the message', () => page.got.length > 1)
      expect(page.got).toEqual(['news=1', 'room=3'])
    }
    expect(other.got).toEqual([])
  })

  test('list gives them with their topics and labels, and clientsOfOwner their ids', async () => {
    const { a, b } = world
    const one = await world.page(a, { owner: 'ann', labels: { tenant: 'acme' } })
    const two = await b.newClient({ owner: 'ann', labels: { tenant: 'other' } })
    await a.newClient({ owner: 'bob' })
    await a.subscribe({ id: one.id }, 'news')
    const listed = await b.list({ owner: 'ann' })
    const inShort = listed.map(({ id, connected, topics, labels }) => ({
      ...{ id, connected, topics, labels },
    }))
    expect(inShort).toHaveLength(2)
    expect(inShort).toContainEqual({
      ...{ id: one.id, connected: true, topics: ['news'], labels: { tenant: 'acme' } },
    })
    expect((await a.list({ tenant: 'other' })).map(({ id }) => id)).toEqual([two.id])
    expect(await a.list({ tenant: 'nobody' })).toEqual([])
    expect(await a.list()).toHaveLength(3)
    const { clients, ids } = await b.clientsOfOwner('ann')
    expect([clients, ids.sort()]).toEqual([2, [one.id, two.id].sort()])
    expect((await a.findClient(one.id))?.labels).toEqual({ tenant: 'acme' })
  })

  test('revoke ends those with a label, and refuses those that come again with it', async () => {
    const { a, b } = world
    const labels = { tenant: 'acme' }
    const one = await world.page(a, { owner: 'ann', labels })
    const two = await world.page(b, { owner: 'ann', labels, transient: true })
    const other = await world.page(b, { owner: 'ann', labels: { tenant: 'other' } })
    expect(await b.revoke({ tenant: 'acme' })).toEqual({ ended: 2, pending: [] })
    expect([one.got, two.got, other.got]).toEqual([['Client closed'], ['Client closed'], []])
    expect(await a.list({ tenant: 'acme' })).toEqual([])
  })

  test('reconnect and recheck take a label and an id', async () => {
    const { a, b } = world
    const one = await world.page(a, { owner: 'ann', labels: { tenant: 'acme' } })
    const two = await world.page(b, { owner: 'ann' })
    expect(await b.recheck({ tenant: 'acme' })).toMatchObject({ clients: 1 })
    expect(await b.reconnect({ tenant: 'acme' })).toEqual({ ended: 1, pending: [] })
    expect([one.response.writableEnded, two.response.writableEnded]).toEqual([true, false])
    expect(await a.reconnect({ id: two.id })).toEqual({ ended: 1, pending: [] })
  })

  test('one that can not have the topic is told by the error, when all others have it', async () => {
    const { a, b } = world
    const full = await a.newClient({ owner: 'ann' })
    await a.subscribe(full.id, ['x', 'y', 'z'])
    const page = await world.page(b, { owner: 'ann' })
    await expect(b.subscribe({ owner: 'ann' }, 'news')).rejects.toThrow(TooManyTopicsError)
    world.publish('news', '1')
    await until('the message', () => page.got.length > 0)
    expect((await a.findClient(full.id))?.topics).toEqual(['x', 'y', 'z'])
  })

  test.each([
    ['no object', 'x'],
    ['nothing', {}],
    ['two at once', { owner: 'ann', tenant: 'acme' }],
    ['a name that is nearly one of ours', { ownr: 'ann' }],
    ['an owner that is undefined', { owner: undefined }],
    ['an empty label', { tenant: '' }],
    ['a label of no text', { tenant: { name: 'acme' } }],
    ['a list', ['a']],
  ])('%s is refused, so that nobody is meant by mistake', async (_, which) => {
    const { a } = world
    if (typeof which !== 'string') {
      const error = { code: expect.stringMatching(/OPTIONS|CLIENT_ID/) as string }
      await expect(a.subscribe(which as never, 'news')).rejects.toMatchObject(error)
      await expect(a.unsubscribe(which as never, 'news')).rejects.toMatchObject(error)
    }
    if (Object.keys(which).length === 0) return
    await expect(a.recheck(which as never)).rejects.toThrow(OptionsError)
    await expect(a.reconnect(which as never)).rejects.toThrow(OptionsError)
    await expect(a.list(which as never)).rejects.toThrow(OptionsError)
  })
})

test('a client keeps its labels where another server takes it over', async () => {
  const world = new World(true)
  try {
    const one = await world.page(world.a, { owner: 'ann', labels: { tenant: 'acme' } })
    await world.open(world.b, one.id)
    expect(world.b.getClient(one.id)?.labels).toEqual({ tenant: 'acme' })
    expect(await world.a.revoke({ tenant: 'acme' })).toEqual({ ended: 1, pending: [] })
  } finally {
    await world.close()
  }
})

test('a client with a label that was revoked meanwhile is not taken over', async () => {
  const world = new World(true)
  try {
    const { id } = await world.a.newClient({ owner: 'ann', labels: { tenant: 'acme' } })
    // Its server answers nothing more, and does not learn of it.
    world.engine.hosts.delete([...world.engine.hosts.keys()][0]!)
    await world.b.revoke({ tenant: 'acme' })
    const page = await world.open(world.b, id)
    expect(page.refusal[0]).toBe(401)
  } finally {
    await world.close()
  }
})

test.each([
  ['the name of something else', { id: 'x' }],
  ['no text', { tenant: 5 }],
  ['undefined', { tenant: undefined }],
  ['too many', Object.fromEntries(Array.from({ length: 9 }, (_, at) => [`l${at}`, 'x']))],
])('labels with %s are refused', async (_, labels) => {
  const streamer = new Streamer(memoryDriver())
  await expect(streamer.newClient({ labels: labels as never })).rejects.toThrow(OptionsError)
  await streamer.close()
})
