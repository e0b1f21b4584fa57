import type { NextFunction, Request, Response } from 'express'
import express from 'express'
import Koa from 'koa'
import request from 'supertest'
import type { MemoryDriver, StreamerOptions } from 'unifrost'
import { memoryDriver, Streamer } from 'unifrost'
import { autoClient, clients, subscriptions, unifrostExpress } from 'unifrost/express'
import * as forKoa from 'unifrost/koa'
import { openEvents } from '../support/event-stream.js'
import { until } from '../support/until.js'
import { apps, listen } from './support/apps.js'

let driver: MemoryDriver
let streamer: Streamer
let running: Awaited<ReturnType<typeof listen>> | undefined

afterEach(async () => {
  await streamer.close()
  await running?.close()
  running = undefined
})

function make(options: StreamerOptions = {}): void {
  driver = memoryDriver()
  streamer = new Streamer(driver, options)
}

/** An app whose user is whoever the query says, with the token's expiry that it says. */
async function start(): Promise<string> {
  const app = express()
  app.use((incoming: Request & { auth?: unknown }, _response: Response, next: NextFunction) => {
    const { user, exp } = incoming.query
    if (user) incoming.auth = { sub: user, ...(exp && { exp: Number(exp) }) }
    next()
  })
  app.use('/events', autoClient(streamer, { topics: ['a'] }), unifrostExpress(streamer))
  app.use('/clients', clients(streamer, { origins: ['https://app.test'] }))
  app.use('/subscriptions', subscriptions(streamer, { authorize: () => true }))
  running = await listen(app)
  return running.url
}

describe('a token’s end', () => {
  test('ends the stream then, with a code, and the client can come back with a new one', async () => {
    make()
    const url = await start()
    await streamer.newCustomClient('c', { owner: 'alice' })
    await streamer.subscribe('c', 'a')
    // Time enough to open a stream on a machine that has much else to do.
    const exp = (Date.now() + 3_000) / 1000
    const stream = await openEvents(`${url}/events?id=c&user=alice&exp=${exp}`)
    await stream.end()
    expect(stream.infos.at(-1)).toMatchObject({ error: { code: 'token-expired' } })
    expect(streamer.stats().disconnects.expired).toBe(1)
    expect((await openEvents(`${url}/events?id=c&user=alice&exp=${exp}`)).status).toBe(401)
    driver.publish('a', 'meanwhile')
    const again = await openEvents(`${url}/events?id=c&user=alice&exp=${exp + 60}`, {
      'last-event-id': stream.lastEventId,
    })
    await again.next('what came meanwhile', ({ data }) => data === 'meanwhile')
  })

  test('comes at once to all streams of an owner, or of a client, that are revoked', async () => {
    make()
    const url = await start()
    for (const id of ['c1', 'c2']) await streamer.newCustomClient(id, { owner: 'alice' })
    await streamer.newCustomClient('c3', { owner: 'bob' })
    const streams = await Promise.all(
      ['c1&user=alice', 'c2&user=alice', 'c3&user=bob'].map((who) =>
        openEvents(`${url}/events?id=${who}`),
      ),
    )
    expect(await streamer.revoke('alice')).toEqual({ ended: 2, pending: [] })
    await Promise.all(streams.slice(0, 2).map((stream) => stream.end()))
    expect(streams[0]!.events.at(-1)?.data).toBe('Client closed')
    expect((await openEvents(`${url}/events?id=c1&user=alice`)).status).toBe(401)
    expect(streams[2]!.ended).toBe(false)
    expect(await streamer.revoke('c3')).toEqual({ ended: 1, pending: [] })
    await streams[2]!.end()
    expect(await streamer.revoke('nobody')).toEqual({ ended: 0, pending: [] })
  })
})

describe('limits', () => {
  test('on streams of one owner: 429, and no client is left behind', async () => {
    make({ maxConnectionsPerOwner: 2 })
    const url = await start()
    const [first] = await Promise.all([1, 2].map(() => openEvents(`${url}/events?user=alice`)))
    const refused = await fetch(`${url}/events?user=alice`)
    expect(refused.status).toBe(429)
    expect(refused.headers.get('retry-after')).toBe('5')
    await until('no client left over', () => streamer.totalClients === 2)
    expect((await openEvents(`${url}/events?user=bob`)).status).toBe(200)
    first!.drop()
    await until('room', () => streamer.stats().connections === 2)
    expect((await openEvents(`${url}/events?user=alice`)).status).toBe(200)
  })

  test('on streams of one address; a reconnect of a client does not count twice', async () => {
    make({ maxConnectionsPerAddress: 1 })
    const url = await start()
    await streamer.newCustomClient('c')
    const stream = await openEvents(`${url}/events?id=c`)
    expect((await fetch(`${url}/events`)).status).toBe(429)
    expect((await openEvents(`${url}/events?id=c`)).status).toBe(200)
    await stream.end()
  })

  test('are checked before authorize is called, a client made or a topic opened', async () => {
    make({ maxConnectionsPerAddress: 1 })
    const done: string[] = []
    streamer.on('clientCreated', () => void done.push('client'))
    streamer.on('topicOpened', (topic) => void done.push(topic))
    const authorize = (_principal: unknown, topic: string) => done.push(`authorize ${topic}`) > 0
    running = await listen(
      express().use(autoClient(streamer, { authorize }), unifrostExpress(streamer)),
    )
    await openEvents(`${running.url}/?topic=a`)
    expect((await fetch(`${running.url}/?topic=b`)).status).toBe(429)
    expect(done).toEqual(['authorize a', 'client', 'a'])
  })

  test('an address is what the framework trusts, not what a header says', async () => {
    make({ maxConnectionsPerAddress: 1 })
    for (const trusted of [false, true]) {
      const app = express().set('trust proxy', trusted)
      app.use(autoClient(streamer, { topics: [] }), unifrostExpress(streamer))
      const koa = new Koa({ proxy: trusted })
      koa.use(forKoa.autoClient(streamer, { topics: [] })).use(forKoa.unifrostKoa(streamer))
      koa.silent = true
      for (const handler of [app, koa.callback()]) {
        const server = await listen(handler as never)
        const statuses = []
        for (const address of ['10.0.0.1', '10.0.0.2']) {
          const stream = await openEvents(server.url, { 'x-forwarded-for': address })
          statuses.push(stream.status)
        }
        expect(statuses).toEqual([200, trusted ? 200 : 429])
        await server.close()
        await until('all to be gone', () => streamer.stats().connections === 0)
      }
    }
  })
})

describe('a request with cookies from another site', () => {
  const cookie = 'session=1'
  test.each([
    ['by Sec-Fetch-Site', { cookie, 'sec-fetch-site': 'cross-site' }, 403],
    ['of a sibling domain', { cookie, 'sec-fetch-site': 'same-site' }, 403],
    ['by Origin', { cookie, origin: 'https://evil.test' }, 403],
    ['with an opaque origin', { cookie, origin: 'null' }, 403],
    ['from here', { cookie, 'sec-fetch-site': 'same-origin' }, 201],
    ['from an origin that is allowed', { cookie, origin: 'https://app.test' }, 201],
    ['with no sign of a browser', { cookie }, 201],
    ['without cookies', { origin: 'https://evil.test', 'sec-fetch-site': 'cross-site' }, 201],
  ])('%s', async (_what, headers, status) => {
    make()
    const answer = await request(await start())
      .post('/clients')
      .set(headers)
    expect(answer.status).toBe(status)
  })

  test('is refused before its body is looked at', async () => {
    make()
    const url = await start()
    const answer = await request(url)
      .post('/subscriptions')
      .set({ cookie, origin: 'https://evil.test', 'content-type': 'text/plain' })
      .send('{"client_id":"c","add":["a"]}')
    expect(answer.body).toMatchObject({ error: { code: 'ERR_UNIFROST_CROSS_SITE' } })
  })
})

test('an id alone opens nothing of an owner’s, in any framework', async () => {
  make()
  for (const { build } of apps) {
    await streamer.newCustomClient('owned', { owner: 'alice' })
    const server = await listen(build({ streamer, allow: () => true }))
    const statuses = [
      (await request(server.url).get('/events?id=owned')).status,
      (await request(server.url).delete('/clients?id=owned')).status,
      (
        await request(server.url)
          .post('/subscriptions')
          .send({ client_id: 'owned', add: ['a'] })
      ).status,
    ]
    expect(statuses).toEqual([403, 403, 403])
    await server.close()
    await streamer.removeClient('owned')
  }
})

describe('an address', () => {
  const statusesOf = async (options: StreamerOptions, addresses: string[]) => {
    make({ maxConnectionsPerAddress: 2, ...options })
    const koa = new Koa({ proxy: true })
    koa.use(forKoa.autoClient(streamer, { topics: [] })).use(forKoa.unifrostKoa(streamer))
    koa.silent = true
    const app = express().set('trust proxy', true)
    app.use(autoClient(streamer, { topics: [] }), unifrostExpress(streamer))
    const all: number[][] = []
    for (const handler of [app, koa.callback()]) {
      const server = await listen(handler as never)
      const statuses = []
      for (const address of addresses) {
        statuses.push((await openEvents(server.url, { 'x-forwarded-for': address })).status)
      }
      all.push(statuses)
      await server.close()
      await until('all to be gone', () => streamer.stats().connections === 0)
    }
    return all
  }
  const three = ['2001:db8::1', '2001:db8::2', '2001:db8:0:0:ffff::3']

  test('of IPv6 counts by its network of 64 bits', async () => {
    const statuses = [200, 200, 429]
    expect(await statusesOf({}, three)).toEqual([statuses, statuses])
  })

  test('of IPv6 counts by itself with `ipv6Prefix: 128`', async () => {
    const statuses = [200, 200, 200]
    expect(await statusesOf({ ipv6Prefix: 128 }, three)).toEqual([statuses, statuses])
  })

  test('that is empty is none, and the connection’s own counts', async () => {
    make({ maxConnectionsPerAddress: 1 })
    running = await listen((req: never, res: never) => streamer.handle(req, res, { address: '' }))
    const open = async () =>
      (await openEvents(`${running!.url}/?id=${(await streamer.newClient()).id}`)).status
    expect([await open(), await open()]).toEqual([200, 429])
  })
})
