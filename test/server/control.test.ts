import { openEvents } from '../support/event-stream.js'
import { AUTH, KEY, serving, tokenFor } from './serving.js'

const TOPICS =
  "topics: [{ match: 'users.{sub}.*', subscribe: owner }, { match: news, subscribe: anyone }]\n"

let it: Awaited<ReturnType<typeof serving>>
beforeEach(async () => {
  it = await serving(
    `${AUTH.replace('cookie', 'labels: [tenant], cookie')}${TOPICS}publish: { keys: [${KEY}, { key: bound-to-its-topics, topics: [news] }] }\n`,
  )
})
afterEach(() => it.server.close())

async function call(path: string, body: unknown, key = KEY) {
  const answer = await fetch(`${it.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  return { status: answer.status, body: (await answer.json()) as any }
}

async function connected(sub: string, topic: string) {
  const claims = { sub, sid: `log-in-of-${sub}`, tenant: 'acme' }
  const headers = { authorization: `Bearer ${await tokenFor(claims)}` }
  const stream = await openEvents(`${it.url}/events?topic=${topic}`, headers)
  if (stream.status === 200)
    await stream.next('the first message', ({ event }) => event === 'message')
  return stream
}

test('an application of another language logs a user out', async () => {
  const [ann, bob] = [await connected('ann', 'users.ann.a'), await connected('bob', 'users.bob.a')]
  expect(await call('/revoke', { owner: 'ann' })).toMatchObject({
    status: 200,
    body: { ended: 1, pending: [] },
  })
  await ann.end()
  expect(bob.ended).toBe(false)
  expect((await connected('ann', 'users.ann.a')).status).toBe(401)
  expect(await call('/revoke', { session: 'log-in-of-bob' })).toMatchObject({ body: { ended: 1 } })
  await bob.end()
})

test("it has the rules asked again, and changes the topics of a user's clients", async () => {
  const headers = { authorization: `Bearer ${await tokenFor({ sub: 'ann' })}` }
  const made = await fetch(`${it.url}/clients`, { method: 'POST', headers })
  const { client_id: id } = (await made.json()) as any
  const stream = await openEvents(`${it.url}/events?id=${id}`, headers)
  expect(await call('/recheck', { owner: 'ann' })).toMatchObject({
    status: 200,
    body: { clients: 1, withdrawn: 0 },
  })
  const changed = await call('/subscriptions', { owner: 'ann', add: ['news', 'users.bob.a'] })
  expect(changed.body).toMatchObject({
    clients: 1,
    added: ['news'],
    refused: [{ topic: 'users.bob.a', code: 'ERR_UNIFROST_FORBIDDEN_TOPIC' }],
  })
  await it.publish({ topic: 'news', data: 'hello' })
  expect((await stream.next('news', ({ event }) => event === 'news')).data).toBe('hello')
  expect((await call('/subscriptions', { owner: 'ann', remove: ['news'] })).body.removed).toEqual([
    'news',
  ])
})

test('it means all clients with a label', async () => {
  const streams = [await connected('ann', 'users.ann.a'), await connected('bob', 'users.bob.a')]
  const label = { tenant: 'acme' }
  expect(await call('/subscriptions', { label, add: ['news', 'users.ann.b'] })).toMatchObject({
    status: 200,
    body: { clients: 2, automatic: 2, added: ['news'], refused: [{ topic: 'users.ann.b' }] },
  })
  await it.publish({ topic: 'news', data: 'to both' })
  for (const stream of streams) await stream.next('news', ({ data }) => data === 'to both')
  expect(await call('/revoke', { label })).toMatchObject({ body: { ended: 2 } })
  await Promise.all(streams.map((stream) => stream.end()))
})

test.each<[string, string, unknown, string, number]>([
  ['an unknown key', '/revoke', { owner: 'ann' }, 'nobodys-key', 401],
  ["a publisher's key for some topics", '/revoke', { owner: 'ann' }, 'bound-to-its-topics', 401],
  ['nobody named', '/revoke', {}, KEY, 400],
  ['two named', '/revoke', { owner: 'a', session: 'b' }, KEY, 400],
  ['a field that there is not', '/recheck', { user: 'a' }, KEY, 400],
  ['a time that is none', '/revoke', { owner: 'a', for: -1 }, KEY, 400],
  ['no owner', '/subscriptions', { add: [] }, KEY, 400],
])('%s is refused', async (_name, path, body, key, status) => {
  expect((await call(path, body, key)).status).toBe(status)
})
