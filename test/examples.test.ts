import { openEvents } from './support/event-stream.js'
import type { Script } from './support/script.js'
import { startScript } from './support/script.js'

let script: Script | undefined

afterEach(async () => {
  await script?.stop()
  script = undefined
})

const json = { 'content-type': 'application/json' }

async function post(path: string, body?: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(script!.url + path, {
    method: 'POST',
    headers: { ...(body !== undefined && json), ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  return { response, body: (await response.json()) as Record<string, string> }
}

test.each(['express', 'koa', 'http'])('%s: log in, then stream', async (name) => {
  script = await startScript(`examples/${name}.ts`)
  const { body } = await post('/login')
  const stream = await openEvents(`${script.url}/events?id=${body.client_id}`)
  const tick = await stream.next('a tick of the clock', ({ event }) => event === 'clock')
  expect(new Date(tick.data).getFullYear()).toBeGreaterThan(2000)
  expect(await script.stop()).toBe(0)
  expect(stream.events.at(-1)?.data).toBe('Client closed')
})

test('auto-client: the address says it all, before and after a drop', async () => {
  script = await startScript('examples/auto-client.ts')
  const address = `${script.url}/events?topic=clock&topic=dice`
  const stream = await openEvents(address)
  await stream.next('the dice', ({ event }) => event === 'dice')
  stream.drop()
  const again = await openEvents(address, { 'last-event-id': stream.lastEventId })
  await again.next('the dice again', ({ event }) => event === 'dice')
  expect(again.text).not.toContain('messages-lost')
  expect((await fetch(`${script.url}/events?topic=secret`)).status).toBe(403)
  expect(await (await fetch(script.url)).text()).toContain('new EventSource')
})

test('jwt: cookie, query and header, and nobody else’s inbox', async () => {
  script = await startScript('examples/jwt.ts')
  expect((await fetch(`${script.url}/clients`, { method: 'POST' })).status).toBe(401)
  const { response, body: login } = await post('/login?name=alice')
  const cookie = response.headers.getSetCookie()[0]!.split(';')[0]!
  const { body: made } = await post('/clients', undefined, { cookie })
  const change = { client_id: made.client_id, add: ['inbox.alice', 'inbox.bob'] }
  const authorization = `Bearer ${login.token}`
  const { body: changed } = await post('/subscriptions', change, { authorization })
  expect(changed).toMatchObject({ added: ['inbox.alice'], refused: [{ topic: 'inbox.bob' }] })
  const stream = await openEvents(
    `${script.url}/events?id=${made.client_id}&access_token=${login.token}`,
  )
  await stream.next('a message', ({ event }) => event === 'inbox.alice')
  expect((await fetch(`${script.url}/events?id=${made.client_id}`)).status).toBe(401)
  const { body: bob } = await post('/login?name=bob')
  const stolen = `${script.url}/events?id=${made.client_id}&access_token=${bob.token}`
  expect((await fetch(stolen)).status).toBe(403)
})

test('ai-answers: a page that is cut off reads on, another one has it all, and it can be stopped', async () => {
  script = await startScript('examples/ai-answers.ts')
  const stream = `${script.url}/chat/7/stream`
  expect((await fetch(stream)).status).toBe(204)
  const { response, body } = await post('/chat/7', { prompt: 'Hello' })
  expect([response.status, body.started]).toEqual([202, true])
  const deltas = (text: string) =>
    [...text.matchAll(/"delta":"([^"]*)"/g)].map(([, delta]) => delta)
  const first = await openEvents(stream)
  await first.next('a word', ({ data }) => data.includes('text-delta'))
  first.drop()
  const [rest, whole] = await Promise.all(
    [{ 'last-event-id': first.lastEventId }, {}].map(async (headers: Record<string, string>) =>
      (await fetch(stream, { headers })).text(),
    ),
  )
  const text = 'The answer goes on when the page is gone, and any page can read it.'
  expect(deltas(whole!).join('')).toBe(text)
  const taken = first.events.filter(({ id }) => id !== '').map(({ data }) => data)
  expect(deltas(taken.join('\n') + rest!).join('')).toBe(text)
  expect(whole).toContain('data: [DONE]')
  expect((await post('/chat/7/stop')).body).toEqual({ was: 'ended' })
})
