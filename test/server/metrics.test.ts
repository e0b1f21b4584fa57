import { openEvents } from '../support/event-stream.js'
import { KEY, serving } from './serving.js'

const open: { server: { close(): Promise<void> } }[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map(({ server }) => server.close()))
})

async function start(text: string) {
  const it = await serving(text)
  open.push(it)
  return { ...it, admin: `http://127.0.0.1:${it.server.ports.admin}` }
}

const NEWS = 'topics: [{ match: news, subscribe: anyone }]\n'

test('the admin port has the counts for Prometheus, and the port for browsers has not', async () => {
  const { admin, url, publish } = await start(
    `${NEWS}admin: { port: 0 }\npublish: { keys: [${KEY}] }\n`,
  )
  const stream = await openEvents(`${url}/events?topic=news`)
  await stream.next('the first message', ({ event }) => event === 'message')
  await publish({ topic: 'news', data: 'hello' })
  await stream.next('news', ({ event }) => event === 'news')
  const answer = await fetch(`${admin}/metrics`)
  expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/)
  const text = await answer.text()
  expect(text).toMatch(/^unifrost_connections 1$/m)
  expect(text).toMatch(/^unifrost_received_total 1$/m)
  expect(text).toMatch(/^unifrost_loop_delay_seconds_count/m)
  expect((await fetch(`${url}/metrics`)).status).toBe(404)
})

test('with workers, /metrics is refused: one of them has not the counts of all', async () => {
  const { admin } = await start(`${NEWS}admin: { port: 0 }\nworkers: 2\n`)
  const answer = await fetch(`${admin}/metrics`)
  expect(answer.status).toBe(501)
  expect(await answer.json()).toMatchObject({ error: { code: 'ERR_UNIFROST_WORKER_METRICS' } })
})
