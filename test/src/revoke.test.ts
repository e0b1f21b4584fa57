import { readRecord } from '../../src/cluster/record.js'
import { ClientIdError, memoryDriver, OptionsError, Streamer } from '../../src/index.js'
import { FakeEngine } from '../support/fake-directory.js'
import { FakeResponse, fakeRequest } from '../support/fake-response.js'
import { Page, Stage, turns } from '../support/stage.js'

describe('who is revoked', () => {
  let stage: Stage

  beforeEach(() => {
    stage = new Stage()
  })

  afterEach(async () => stage.dispose())

  const come = async (who: { owner: string; session?: string; issuedAt?: number }) => {
    const { id } = await stage.streamer.newClient({ owner: who.owner, transient: true })
    const response = new FakeResponse()
    await stage.streamer.handle(fakeRequest(id), response.asResponse, who)
    if (response.statusCode !== 200) await stage.streamer.removeClient(id)
    return new Page(response)
  }

  test('is named as owners are made: text, a number, or a principal', async () => {
    for (const who of [42, '42', 42n, { id: 42 }, { sub: '42', role: 'x' }]) {
      await stage.streamer.newClient({ owner: '42' })
      expect(await stage.streamer.revoke(who, { for: 0 })).toEqual({ ended: 1, pending: [] })
    }
  })

  test.each([
    [undefined],
    [null],
    [NaN],
    [''],
    [{}],
    [[]],
    [{ session: '' }],
    [true],
    ['undefined'],
  ])('is nobody by accident: %p is refused', async (who) => {
    await expect(stage.streamer.revoke(who as never)).rejects.toThrow(OptionsError)
  })

  test('stays away as an automatic client, until its time is over', async () => {
    const page = await come({ owner: 'alice' })
    await stage.streamer.revoke('alice', { for: 10_000 })
    expect(page.got).toEqual(['Client closed'])
    expect(page.closed).toEqual({ reason: 'revoked', reconnect: false })
    expect((await come({ owner: 'alice' })).refusal[0]).toBe(401)
    expect((await come({ owner: 'bob' })).response.statusCode).toBe(200)
    await stage.wait(10_001)
    expect((await come({ owner: 'alice' })).response.statusCode).toBe(200)
  })

  test('is back with a token that was issued later', async () => {
    await stage.streamer.revoke('alice')
    const now = Math.floor(Date.now() / 1000)
    expect((await come({ owner: 'alice', issuedAt: now - 5 })).refusal[0]).toBe(401)
    expect((await come({ owner: 'alice', issuedAt: now + 5 })).response.statusCode).toBe(200)
  })

  test('is one log-in alone, where a session is named', async () => {
    const first = await come({ owner: 'alice', session: 's1' })
    const second = await come({ owner: 'alice', session: 's2' })
    expect(await stage.streamer.revoke({ session: 's1' })).toEqual({ ended: 1, pending: [] })
    expect(first.response.writableEnded).toBe(true)
    expect(second.response.writableEnded).toBe(false)
    expect((await come({ owner: 'alice', session: 's1' })).refusal[0]).toBe(401)
    expect((await come({ owner: 'alice', session: 's3' })).response.statusCode).toBe(200)
  })
})

test.each([
  ['newClient', [{ owners: 'alice' }]],
  ['newClient', ['alice']],
  ['newClient', [{ owner: 42 }]],
  ['newClient', [{ owner: undefined }]],
  ['newClient', [{ owner: '' }]],
  ['newCustomClient', ['user-42', 'alice']],
  ['subscribe', ['user-42', 'a', 5]],
  ['subscribe', ['user-42', 'a', { rewnd: 5 }]],
  ['revoke', ['alice', { fro: 5 }]],
  ['revoke', ['alice', { for: NaN }]],
  ['clientsOfOwner', [undefined]],
  ['drain', [5_000]],
] as const)('%s refuses what it does not take: %j', async (method, args) => {
  const streamer = new Streamer(memoryDriver()) as unknown as Record<
    string,
    (...args: unknown[]) => Promise<unknown>
  >
  await expect(streamer[method]!(...args)).rejects.toThrow(OptionsError)
  await streamer['close']!()
})

test('a client is not named by what is no text', async () => {
  const streamer = new Streamer(memoryDriver())
  await expect(streamer.removeClient(undefined as never)).rejects.toThrow(ClientIdError)
  await expect(streamer.subscribe(42 as never, 'a')).rejects.toThrow(ClientIdError)
  expect(() => streamer.getClient(undefined as never)).toThrow(ClientIdError)
  await streamer.close()
})

test.each([
  { session: '' },
  { session: 42 },
  { issuedAt: NaN },
  { issuedAt: 'yesterday' },
  // Milliseconds: every revocation would be older than such a token.
  { issuedAt: 1_700_000_000_000 },
  { sesion: 's1' },
])('handle opens no stream with %j', async (options) => {
  const streamer = new Streamer(memoryDriver())
  const { id } = await streamer.newClient()
  const response = new FakeResponse()
  await streamer.handle(fakeRequest(id), response.asResponse, options as never)
  expect(response.statusCode).toBe(500)
  await streamer.close()
})

describe('in a cluster', () => {
  test('a server that was cut off ends its automatic clients when it is back', async () => {
    const engine = new FakeEngine()
    const make = (server: string) =>
      new Streamer(memoryDriver(), { directory: engine.directory(), server })
    const [a, b] = [make('a'), make('b')]
    await Promise.all([a.open(), b.open()])
    const { id } = await b.newClient({ owner: 'alice', transient: true })
    const response = new FakeResponse()
    await b.handle(fakeRequest(id), response.asResponse, { owner: 'alice' })
    const [name, host] = [...engine.hosts].find(([server]) => server.startsWith('b-'))!
    engine.hosts.delete(name)
    host.down(new Error('cut off'))
    expect(await a.revoke('alice')).toEqual({ ended: 0, pending: [] })
    engine.hosts.set(name, host)
    host.lapsed()
    host.up(String(engine.memory))
    await turns()
    await turns()
    expect(response.writableEnded).toBe(true)
    await Promise.all([a.close(), b.close()])
  })

  test('while the directory is away, this server ends its own, and says what is pending', async () => {
    const engine = new FakeEngine()
    const a = new Streamer(memoryDriver(), { directory: engine.directory(), server: 'a' })
    await a.open()
    const { id } = await a.newClient({ owner: 'alice' })
    const response = new FakeResponse()
    await a.handle(fakeRequest(id), response.asResponse, { owner: 'alice' })
    engine.goAway()
    expect(await a.revoke('alice')).toEqual({ ended: 1, pending: ['directory'] })
    expect(response.writableEnded).toBe(true)
    await expect(a.removeClient('another')).rejects.toMatchObject({
      code: 'ERR_UNIFROST_DIRECTORY_UNAVAILABLE',
    })
    engine.comeBack()
    for (let i = 0; i < 5; i++) await turns()
    expect(engine.live(id)).toBeUndefined()
    await a.close()
  })
})

test.each([
  { topics: { 'a\nevent: b': null } },
  { topics: { '': null } },
  { topics: { a: null, b: null, c: null } },
  { owner: '' },
  { server: 'a\nb' },
  { generation: Number.MAX_SAFE_INTEGER },
  { generation: 0 },
])('a record of the directory is checked like input: %j', (more) => {
  const fields = { v: 1, id: 'x', server: 'gone-1', connected: false, generation: 1, topics: {} }
  const limits = { maxTopics: 2, maxTopicLength: 100 }
  expect(typeof readRecord('x', JSON.stringify(fields), limits)).toBe('object')
  expect(typeof readRecord('x', JSON.stringify({ ...fields, ...more }), limits)).toBe('string')
})
