import type { MemoryDriver, StreamerOptions } from 'unifrost'
import { memoryDriver, Streamer } from 'unifrost'
import type { FetchHandler } from 'unifrost/fetch'
import {
  authenticate,
  autoClient,
  clients,
  errorPage,
  handler,
  subscriptions,
  withContext,
} from 'unifrost/fetch'
import { parseEvents } from '../support/event-stream.js'
import { ManualClock } from '../support/manual-clock.js'
import { until } from '../support/until.js'

const AT = 'http://app.example/events'

let driver: MemoryDriver
let streamer: Streamer
let failures: unknown[]

beforeEach(() => make())
afterEach(() => streamer.close())

function make(options: StreamerOptions = {}): void {
  driver = memoryDriver()
  failures = []
  streamer = new Streamer(driver, options)
  streamer.on('error', (error) => failures.push(error.cause))
}

/** Reads a body bit by bit. */
class Body {
  text = ''
  ended = false
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>
  private readonly decoder = new TextDecoder()

  constructor(response: Response) {
    this.reader = response.body!.getReader() as ReadableStreamDefaultReader<Uint8Array>
  }

  async read(): Promise<Uint8Array | undefined> {
    const { done, value } = await this.reader.read()
    this.ended = done
    if (value !== undefined) this.text += this.decoder.decode(value, { stream: true })
    return value
  }

  async readUntil(text: string): Promise<void> {
    while (!this.text.includes(text) && !this.ended) await this.read()
    expect(this.text).toContain(text)
  }

  cancel(): Promise<void> {
    return this.reader.cancel()
  }

  get data(): string[] {
    return parseEvents(this.text)
      .filter(({ event }) => event !== 'message')
      .map(({ data }) => data)
  }
}

async function client(...topics: string[]): Promise<string> {
  const { id } = await streamer.newClient()
  for (const topic of topics) await streamer.subscribe(id, topic)
  return id
}

const post = (body: unknown, headers: Record<string, string> = {}) =>
  new Request('http://app.example/subscriptions', {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  })

test('asks the driver for nothing, and holds one batch, while nobody reads the body', async () => {
  const id = await client('a')
  const body = new Body(await handler(streamer)(new Request(`${AT}?id=${id}`)))
  await body.readUntil('client_id')
  for (let n = 0; n < 100; n++) {
    driver.publish('a', `${n}:${'x'.repeat(10_000)}`)
    await new Promise(setImmediate)
  }
  const { stalled } = streamer.stats()
  expect(stalled.connections).toBe(1)
  expect(stalled.bytes).toBeLessThan(100_000)
  await body.readUntil('99:')
  expect(body.data.map((data) => parseInt(data))).toEqual(Array.from({ length: 100 }, (_, n) => n))
  expect(streamer.stats().stalled.connections).toBe(0)
  await body.cancel()
})

test('cuts off a reader that takes nothing for slowClientTimeout, and gives its room back', async () => {
  const clock = new ManualClock()
  make({ clock, slowClientTimeout: 1_000 })
  const id = await client('a')
  const response = await handler(streamer)(new Request(`${AT}?id=${id}`))
  for (let n = 0; n < 10; n++) {
    driver.publish('a', 'x'.repeat(10_000))
    await new Promise(setImmediate)
  }
  expect(streamer.stats().stalled.connections).toBe(1)
  clock.advance(1_001)
  await until('the end', () => streamer.stats().connections === 0)
  await expect(response.text()).rejects.toThrow('The stream was cut off.')
  expect(streamer.stats().disconnects.slow).toBe(1)
})

test('gives each reader bytes of its own: one may take the memory of a chunk away', async () => {
  const events = handler(streamer)
  const [a, b] = [await client('a'), await client('a')]
  const thief = new Body(await events(new Request(`${AT}?id=${a}`)))
  const other = new Body(await events(new Request(`${AT}?id=${b}`)))
  await thief.readUntil('client_id')
  driver.publish('a', 'one')
  await new Promise(setImmediate)
  const chunk = await thief.read()
  structuredClone(chunk!.buffer, { transfer: [chunk!.buffer as ArrayBuffer] })
  await other.readUntil('one')
  expect(other.data).toEqual(['one'])
  await Promise.all([thief.cancel(), other.cancel()])
})

test.each(['abort', 'cancel'] as const)('notices that the browser left, by %s', async (how) => {
  const leaving = new AbortController()
  const id = await client('a')
  const request = new Request(`${AT}?id=${id}`, { signal: leaving.signal })
  const body = new Body(await handler(streamer)(request))
  await body.readUntil('client_id')
  expect(streamer.getClient(id)?.connected).toBe(true)
  if (how === 'abort') leaving.abort()
  else await body.cancel()
  expect(streamer.getClient(id)?.connected).toBe(false)
  expect(streamer.stats().connections).toBe(0)
})

test('makes no stream for a browser that left before, and keeps no client of its', async () => {
  const leaving = new AbortController()
  leaving.abort()
  const request = new Request(AT, { signal: leaving.signal })
  const response = await autoClient(streamer, { topics: ['a'] })(handler(streamer))(request)
  expect(response.status).toBe(499)
  expect(streamer.totalClients).toBe(0)
})

test('lets a client go whose browser left while authorize was asked', async () => {
  const leaving = new AbortController()
  const events = autoClient(streamer, {
    authorize: () => {
      leaving.abort()
      return true
    },
  })(handler(streamer))
  const response = await events(new Request(`${AT}?topic=a`, { signal: leaving.signal }))
  expect(response.status).toBe(499)
  expect(streamer.stats()).toMatchObject({ clients: 0, connections: 0 })
})

test('lets an automatic client go when the handler behind it answers by itself', async () => {
  const inner: FetchHandler = async () => new Response('no', { status: 418 })
  const events = autoClient(streamer, { topics: ['a'] })(inner)
  expect((await events(new Request(AT))).status).toBe(418)
  expect(streamer.totalClients).toBe(0)
})

test('ends the body in order after all that was written, when the Streamer drains', async () => {
  const id = await client('a')
  const body = new Body(await handler(streamer)(new Request(`${AT}?id=${id}`)))
  await body.readUntil('client_id')
  driver.publish('a', 'the last')
  await new Promise(setImmediate)
  let closed = false
  const closing = streamer.close().then(() => (closed = true))
  await new Promise(setImmediate)
  // What is not read is not sent.
  expect(closed).toBe(false)
  while (!body.ended) await body.read()
  await closing
  expect(parseEvents(body.text).slice(-3)).toMatchObject([
    { event: 'a', data: 'the last' },
    { event: 'unifrost-connection', data: '{"closed":{"reason":"shutdown","reconnect":true}}' },
    { event: 'message', data: 'Client closed' },
  ])
})

test('refuses one stream more than an address may have, until one is over', async () => {
  make({ maxConnectionsPerAddress: 1 })
  const events = handler(streamer)
  const [a, b] = [await client(), await client()]
  const ask = (id: string, address: string) =>
    events(withContext(new Request(`${AT}?id=${id}`), { address }))
  const body = new Body(await ask(a, '203.0.113.1'))
  expect((await ask(b, '203.0.113.1')).status).toBe(429)
  const other = new Body(await ask(b, '203.0.113.2'))
  await body.cancel()
  const again = new Body(await ask(a, '203.0.113.1'))
  await again.readUntil('client_id')
  await Promise.all([other.cancel(), again.cancel()])
})

test('takes the user that a framework has found for the owner', async () => {
  const made = await clients(streamer)(
    withContext(new Request('http://app.example/clients', { method: 'POST' }), {
      user: { sub: 'ann' },
    }),
  )
  const { client_id: id } = (await made.json()) as { client_id: string }
  expect(streamer.getClient(id)?.owner).toBe('ann')
  const events = handler(streamer)
  expect((await events(new Request(`${AT}?id=${id}`))).status).toBe(403)
  const response = await events(
    withContext(new Request(`${AT}?id=${id}`), { user: { sub: 'ann' } }),
  )
  expect(response.status).toBe(200)
  await response.body!.cancel()
})

test('says so when a user stands on the request where nobody looks', async () => {
  const request = Object.assign(new Request(`${AT}?id=${await client()}`), { auth: { sub: 'ann' } })
  const response = await handler(streamer)(request)
  expect(response.status).toBe(500)
  expect(await response.text()).not.toContain('auth')
  expect(failures).toEqual([expect.objectContaining({ code: 'ERR_UNIFROST_OPTIONS' })])
})

test('takes a body that was read before, where it is given, and says what to do where not', async () => {
  const id = await client()
  const change = subscriptions(streamer, { authorize: () => true })
  const request = post({ client_id: id, add: ['a'] })
  const body: unknown = await request.json()
  const refused = await change(request)
  expect(refused.status).toBe(500)
  expect(String(failures[0])).toContain('withContext(request, { body })')
  const answer = await change(withContext(request, { body }))
  expect(await answer.json()).toMatchObject({ topics: ['a'] })
})

test('refuses what a page of another site asks for with cookies', async () => {
  const id = await client()
  const change = subscriptions(streamer, { authorize: () => true })
  const cookie = { cookie: 'session=1' }
  const add = { client_id: id, add: ['a'] }
  const foreign = await change(post(add, { ...cookie, origin: 'http://evil.example' }))
  expect(foreign.status).toBe(403)
  const own = await change(post(add, { ...cookie, origin: 'http://app.example' }))
  expect(own.status).toBe(200)
  const behindProxy = withContext(post(add, { ...cookie, origin: 'https://public.example' }), {
    host: 'public.example',
  })
  expect((await change(behindProxy)).status).toBe(200)
})

test('hands errors to the application’s page, and throws what nobody could be told of', async () => {
  const page = errorPage((error) => Response.json({ page: Object(error).code }, { status: 499 }))
  const answer = await page(handler(streamer))(new Request(AT))
  expect(answer.status).toBe(499)
  expect(await answer.json()).toEqual({ page: 'ERR_UNIFROST_NO_ID' })

  const broken = authenticate({
    verify: () => {
      throw new Error('the database is at 10.0.0.1')
    },
  })
  const withToken = () => new Request(AT, { headers: { authorization: 'Bearer t' } })
  // The Streamer behind it tells of the failure.
  const told = await broken(handler(streamer))(withToken())
  expect(told.status).toBe(500)
  expect(await told.text()).not.toContain('database')
  expect(String(failures[0])).toContain('database')
  await expect(broken(async () => new Response())(withToken())).rejects.toThrow('database')
})

test('answers with headers that the framework may still change', async () => {
  const response = await handler(streamer)(new Request(`${AT}?id=${await client()}`))
  response.headers.set('Access-Control-Allow-Origin', 'https://app.example')
  expect(Object.fromEntries(response.headers)).toEqual({
    'access-control-allow-origin': 'https://app.example',
    'cache-control': 'no-cache, no-transform',
    'content-type': expect.stringContaining('text/event-stream') as string,
    'x-accel-buffering': 'no',
  })
  await response.body!.cancel()
})

test('refuses what is no fetch Request, no handler, no context, with what it takes', async () => {
  await expect(handler(streamer)({ url: '/' } as Request)).rejects.toThrow('a fetch Request')
  expect(() => autoClient(streamer)(undefined as never)).toThrow('the handler behind it')
  expect(() => errorPage(undefined as never)).toThrow('a function')
  const request = new Request(AT)
  expect(() => withContext(request, { usr: 'ann' } as never)).toThrow('Did you mean user?')
  expect(() => withContext(request, { user: Promise.resolve('ann') })).toThrow('await it')
})
