import { request as httpRequest } from 'node:http'
import { once } from 'node:events'
import { openEvents } from '../support/event-stream.js'
import { AUTH, KEY, serving, tokenFor } from './serving.js'

const open: { server: { close(): Promise<void> } }[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map(({ server }) => server.close()))
})

const RUNS = `runs: { match: 'answers.*' }\npublish: { keys: [${KEY}, { key: only-for-orders-key, topics: [orders.*] }] }\n`

async function start(more = '') {
  const it = await serving(RUNS + more)
  open.push(it)
  const post = async (path: string, body?: unknown, key = KEY) => {
    const answer = await fetch(`${it.url}/runs/${path}`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${key}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    return { status: answer.status, body: (await answer.json()) as any }
  }
  /** A request whose body is sent while the answer comes. */
  const produce = async (path: string, type = 'application/x-ndjson') => {
    const headers = { authorization: `Bearer ${KEY}`, 'content-type': type }
    const sent = httpRequest(`${it.url}/runs/${path}`, { method: 'POST', headers, agent: false })
    sent.on('error', () => undefined)
    return sent
  }
  const read = (path: string, headers: Record<string, string> = {}) =>
    openEvents(`${it.url}/runs/${path}`, headers)
  return { ...it, post, produce, read }
}

test('a run of parts is read by who comes during it and after it', async () => {
  const { post, read } = await start()
  const started = await post('answers.7')
  expect(started).toMatchObject({ status: 201, body: { name: 'answers.7', started: true } })
  const { term, run } = started.body
  const during = await read('answers.7')
  const parts = ['Hel', { data: 'lo', event: 'token' }, { a: 1 }]
  expect(await post('answers.7/parts', { term, parts })).toEqual({
    status: 200,
    body: { run, parts: 3 },
  })
  expect((await post('answers.7/end', { term, data: { tokens: 3 } })).body.end).toEqual({
    kind: 'done',
  })
  await during.end()
  const after = await read('answers.7')
  await after.end()
  for (const { events } of [during, after]) {
    expect(events.map(({ event, data }) => [event, data])).toEqual([
      ['message', 'Hel'],
      ['token', 'lo'],
      ['message', '{"a":1}'],
      ['end', '{"kind":"done","data":{"tokens":3}}'],
    ])
  }
  expect((await post('answers.7/parts', { term, parts: [1] })).status).toBe(409)
})

test('a second start is told who has the run, or attaches', async () => {
  const { post } = await start()
  const { body } = await post('answers.7?owner=ann')
  expect(await post('answers.7')).toMatchObject({
    status: 409,
    body: { error: { code: 'ERR_UNIFROST_RUN_RUNNING' }, run: body.run, owner: 'ann' },
  })
  expect(await post('answers.7?owner=ann&onRunning=attach')).toEqual({
    status: 200,
    body: { run: body.run, name: 'answers.7', started: false },
  })
})

test("the body of a request is the run, and its end is the run's", async () => {
  const { produce, read } = await start()
  const sent = await produce('answers.7')
  sent.write('"a"\n{"data":"b","eve')
  const [response] = await once(sent, 'response')
  expect(response.statusCode).toBe(201)
  const reader = await read('answers.7')
  await reader.next('the first part', ({ data }) => data === 'a')
  sent.end('nt":"token"}\n')
  await reader.end()
  expect(reader.events.map(({ event }) => event)).toEqual(['message', 'token', 'end'])
  let text = ''
  for await (const chunk of response) text += chunk
  expect(
    text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
  ).toEqual([
    expect.objectContaining({ name: 'answers.7', started: true }),
    { end: { kind: 'done' } },
  ])
})

test('a body of server-sent events is the run', async () => {
  const { produce, read } = await start()
  const sent = await produce('answers.7', 'text/event-stream')
  sent.end('data: a\ndata: b\n\nevent: token\ndata: c\n\n')
  await once(sent, 'response')
  const reader = await read('answers.7')
  await reader.end()
  expect(reader.events.slice(0, 2).map(({ event, data }) => [event, data])).toEqual([
    ['message', 'a\nb'],
    ['token', 'c'],
  ])
})

test('a request that breaks off, or has a line that is no JSON, fails its run', async () => {
  const { produce, read } = await start()
  const [broken, wrong] = [await produce('answers.1'), await produce('answers.2')]
  broken.write('"a"\n')
  wrong.write('no json\n')
  await Promise.all([once(broken, 'response'), once(wrong, 'response')])
  const reader = await read('answers.1')
  await reader.next('the part', ({ data }) => data === 'a')
  broken.destroy()
  const failed = await reader.next('the end', ({ event }) => event === 'end')
  expect(failed.data).toContain('ERR_UNIFROST_PRODUCER_GONE')
  const other = await (await read('answers.2')).next('the end', ({ event }) => event === 'end')
  expect(other.data).toContain('Line 1 is no JSON')
})

test('a stop is told to the producer, on its own answer and as its signal', async () => {
  const { post, produce, url } = await start()
  const sent = await produce('answers.1')
  sent.write('"a"\n')
  const [response] = await once(sent, 'response')
  const { term } = (await post('answers.2')).body
  const signal = fetch(`${url}/runs/answers.2/signal?term=${term}`, {
    headers: { authorization: `Bearer ${KEY}` },
  })
  expect((await post('answers.1/stop')).body).toEqual({ was: 'running' })
  expect((await post('answers.2/stop')).body).toEqual({ was: 'running' })
  expect(await (await signal).json()).toEqual({ signal: 'stopped' })
  expect((await post('answers.2/end', { term })).body.end).toEqual({ kind: 'stopped' })
  let text = ''
  response.on('data', (chunk: Buffer) => {
    text += chunk.toString()
    if (text.includes('"signal":"stopped"')) sent.end()
  })
  await once(response, 'end')
  expect(text).toContain('{"end":{"kind":"stopped"}}')
})

test('a run is for its owner, for producers with its key, and of the names of the file', async () => {
  const { post, read } = await start(AUTH)
  await post('answers.7?owner=ann')
  const as = async (sub: string) => ({ authorization: `Bearer ${await tokenFor({ sub })}` })
  expect((await read('answers.7', await as('bob'))).status).toBe(404)
  expect((await read('answers.7')).status).toBe(401)
  const hers = await read('answers.7', await as('ann'))
  expect(hers.status).toBe(200)
  hers.drop()
  expect((await post('answers.8', undefined, 'only-for-orders-key')).status).toBe(401)
  expect((await post('orders.1')).status).toBe(404)
  expect((await post('answers.7/else')).status).toBe(404)
  expect((await post('answers.7/stop', undefined, await tokenFor({ sub: 'bob' }))).status).toBe(404)
  expect((await post('answers.7/stop', undefined, await tokenFor({ sub: 'ann' }))).status).toBe(200)
})
