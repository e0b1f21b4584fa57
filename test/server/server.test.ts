import { openEvents } from '../support/event-stream.js'
import { isFromHere } from '../../src/server/loopback.js'
import { memoryDriver } from '../../src/index.js'
import { AUTH, KEY, serving, tokenFor } from './serving.js'

const open: { server: { close(): Promise<void> } }[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map(({ server }) => server.close()))
})

async function start(...args: Parameters<typeof serving>) {
  const it = await serving(...args)
  open.push(it)
  return it
}

const NEWS = 'topics: [{ match: news, subscribe: anyone }]\n'
const PUBLISH = `publish: { keys: [${KEY}, { key: only-for-orders-key, topics: [orders.*] }] }\n`

test('what is published over HTTP arrives at a browser', async () => {
  const { url, publish } = await start(NEWS + PUBLISH)
  const stream = await openEvents(`${url}/events?topic=news`)
  await stream.next('the first message', ({ event }) => event === 'message')
  const answer = await publish({ topic: 'news', data: 'hello' })
  expect(answer.status).toBe(200)
  expect(await answer.json()).toMatchObject({ topics: ['news'], position: null })
  expect((await stream.next('news', ({ event }) => event === 'news')).data).toBe('hello')
  await publish([{ topics: ['news', 'other'], data: { a: 1 } }])
  expect((await stream.next('JSON', ({ data }) => data === '{"a":1}')).data).toBe('{"a":1}')
})

test('a request that publishes again under its idempotency key publishes nothing', async () => {
  const { url, publish } = await start(NEWS + PUBLISH)
  const stream = await openEvents(`${url}/events?topic=news`)
  await stream.next('the first message', ({ event }) => event === 'message')
  const once = { 'idempotency-key': 'order-1' }
  const first = await publish({ topic: 'news', data: 'once' }, once)
  const again = await publish({ topic: 'news', data: 'once' }, once)
  expect([
    first.headers.get('idempotent-replayed'),
    again.headers.get('idempotent-replayed'),
  ]).toEqual([null, 'true'])
  expect(await again.json()).toEqual(await first.json())
  expect((await publish({ topic: 'news', data: 'other' }, once)).status).toBe(422)
  await publish({ topic: 'news', data: 'end' })
  await stream.next('the end', ({ data }) => data === 'end')
  expect(stream.events.filter(({ data }) => data === 'once')).toHaveLength(1)
})

test.each<[string, unknown, number, string, Record<string, string>]>([
  [
    'no key',
    { topic: 'news', data: 'a' },
    401,
    'ERR_UNIFROST_UNAUTHENTICATED',
    { authorization: '' },
  ],
  [
    'an unknown key',
    { topic: 'news', data: 'a' },
    401,
    'ERR_UNIFROST_UNAUTHENTICATED',
    { authorization: 'Bearer nobodys' },
  ],
  [
    'a key for other topics',
    { topic: 'news', data: 'a' },
    403,
    'ERR_UNIFROST_PUBLISH_FORBIDDEN',
    { authorization: 'Bearer only-for-orders-key' },
  ],
  ['no data', { topic: 'news' }, 400, 'ERR_UNIFROST_BODY', {}],
  ['no topic', { data: 'a' }, 400, 'ERR_UNIFROST_BODY', {}],
  ['a field that there is not', { topic: 'news', data: 'a', ttl: 1 }, 400, 'ERR_UNIFROST_BODY', {}],
  ['a reserved topic', { topic: 'message', data: 'a' }, 400, 'ERR_UNIFROST_TOPIC_NAME', {}],
  ['an empty list', [], 400, 'ERR_UNIFROST_BODY', {}],
  [
    'a form',
    { topic: 'news', data: 'a' },
    415,
    'ERR_UNIFROST_MEDIA_TYPE',
    { 'content-type': 'text/plain' },
  ],
  [
    'too much',
    { topic: 'news', data: 'x'.repeat(1_000_001) },
    413,
    'ERR_UNIFROST_BODY_TOO_LARGE',
    {},
  ],
])('publishing with %s is refused', async (_name, body, status, code, headers) => {
  const { publish } = await start(NEWS + PUBLISH)
  const answer = await publish(body, headers)
  expect([answer.status, ((await answer.json()) as any).error.code]).toEqual([status, code])
})

test('a broker that takes nothing is refused at the start', async () => {
  const { encoding, subscribe, close } = memoryDriver()
  const driver = { encoding: encoding!, subscribe, close }
  await expect(serving(PUBLISH, { driver })).rejects.toThrow(/takes nothing/)
})

test('a page of another origin may use the server, if it is named', async () => {
  const { url } = await start(`${NEWS}cors: { origins: ['https://app.example'] }\n`)
  const ask = (origin: string) =>
    fetch(`${url}/events`, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'GET',
        'access-control-request-headers': 'last-event-id',
      },
    })
  const allowed = await ask('https://app.example')
  expect(allowed.status).toBe(204)
  expect(Object.fromEntries(allowed.headers)).toMatchObject({
    'access-control-allow-origin': 'https://app.example',
    'access-control-allow-credentials': 'true',
    'access-control-allow-headers': expect.stringMatching(/Authorization.*Last-Event-ID/),
    vary: 'Origin',
  })
  const strange = await ask('https://other.example')
  expect(strange.headers.get('access-control-allow-origin')).toBeNull()
  const stream = await openEvents(`${url}/events?topic=news`, { origin: 'https://app.example' })
  expect(stream.headers['access-control-allow-origin']).toBe('https://app.example')
  expect(
    (await fetch(`${url}/events`, { headers: { origin: 'https://app.example' } })).headers.get(
      'access-control-allow-origin',
    ),
  ).toBe('https://app.example')
})

test('every origin may use the server without cookies, if that is said', async () => {
  const { url } = await start(`${NEWS}cors: { origins: ['*'] }\n`)
  const stream = await openEvents(`${url}/events?topic=news`, { origin: 'https://any.example' })
  expect(stream.headers['access-control-allow-origin']).toBe('*')
  expect(stream.headers['access-control-allow-credentials']).toBeUndefined()
})

test('tokens come by header and by cookie, and a wrong one is refused', async () => {
  const { url } = await start(`${AUTH}topics: [{ match: 'users.{sub}.*', subscribe: owner }]\n`)
  const token = await tokenFor({ sub: 'ann' })
  const status = async (headers: Record<string, string>) =>
    (await openEvents(`${url}/events?topic=users.ann.a`, headers)).status
  expect(await status({ authorization: `Bearer ${token}` })).toBe(200)
  expect(await status({ cookie: `token=${token}` })).toBe(200)
  expect(await status({})).toBe(401)
  const wrong = [
    tokenFor({ sub: 'ann' }, 'another-secret-of-thirty-two-bytes-too'),
    tokenFor({ sub: 'ann', iss: 'you' }),
    tokenFor({ sub: 'ann', aud: 'them' }),
    tokenFor({ sub: 'ann', exp: 1 }),
    tokenFor({}),
    Promise.resolve('no.token.atall'),
  ]
  for (const it of await Promise.all(wrong)) {
    expect(await status({ authorization: `Bearer ${it}` })).toBe(401)
  }
})

test('a client is made, and its topics are changed', async () => {
  const { url, publish } = await start(
    `${AUTH}${PUBLISH}topics: [{ match: 'users.{sub}.*', subscribe: owner }]\n`,
  )
  const headers = {
    authorization: `Bearer ${await tokenFor({ sub: 'ann' })}`,
    'content-type': 'application/json',
  }
  const post = async (path: string, body: unknown) =>
    (await fetch(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })).json()
  const { client_id: id } = (await post('/clients', {})) as any
  const changed = await post('/subscriptions', {
    client_id: id,
    add: ['users.ann.a', 'users.bob.a'],
    remove: [],
  })
  expect(changed).toMatchObject({ added: ['users.ann.a'], refused: [{ topic: 'users.bob.a' }] })
  const stream = await openEvents(`${url}/events?id=${id}`, headers)
  await publish({ topic: 'users.ann.a', data: 'yours' })
  expect((await stream.next('hers', ({ event }) => event === 'users.ann.a')).data).toBe('yours')
  const other = { authorization: `Bearer ${await tokenFor({ sub: 'bob' })}` }
  expect((await openEvents(`${url}/events?id=${id}`, other)).status).toBe(403)
})

test('livez and readyz are on the admin port, and only there', async () => {
  const { server, url } = await start(`${NEWS}admin: { port: 0 }\n`)
  const admin = `http://127.0.0.1:${server.ports.admin}`
  expect((await fetch(`${admin}/livez`)).status).toBe(200)
  expect(await (await fetch(`${admin}/readyz`)).json()).toMatchObject({ ok: true })
  expect((await fetch(`${admin}/events`)).status).toBe(404)
  expect((await fetch(`${url}/readyz`)).status).toBe(404)
})

test('while the broker is away, readyz has 503 and livez 200', async () => {
  const brokerState = { down: { since: 1, reason: 'gone' }, onChange: undefined }
  const { url } = await start(NEWS, { driver: { ...memoryDriver(), brokerState } })
  expect((await fetch(`${url}/readyz`)).status).toBe(503)
  expect((await fetch(`${url}/livez`)).status).toBe(200)
})

test('without a file, only this machine publishes, and no page does', async () => {
  const { url, publish } = await start(NEWS, { withoutKey: isFromHere })
  expect((await publish({ topic: 'news', data: 'a' })).status).toBe(200)
  expect(
    (await publish({ topic: 'news', data: 'a' }, { 'x-forwarded-for': '10.0.0.1' })).status,
  ).toBe(401)
  const rebound = new URL(url)
  const request = { headers: { host: 'evil.example' }, socket: { remoteAddress: '127.0.0.1' } }
  expect(isFromHere(request as never)).toBeUndefined()
  expect(
    isFromHere({ headers: { host: rebound.host }, socket: { remoteAddress: '10.0.0.1' } } as never),
  ).toBeUndefined()
})
