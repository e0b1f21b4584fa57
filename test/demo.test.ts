import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { runDemo, startDemo, type Demo } from './support/demo.js'

/** One line on stderr, nothing else, exit code 1. */
async function expectRefusal(env: Record<string, string>, line: RegExp): Promise<void> {
  const { code, stdout, stderr } = await runDemo(env)
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toMatch(/^[^\n]+\n$/)
  expect(stderr).toMatch(line)
}

/** A server that takes connections and says nothing, on a free port. */
async function silentServer(): Promise<{ port: number; close(): Promise<void> }> {
  const server = createServer((socket) => socket.on('error', () => {}))
  server.listen(0)
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      const closed = once(server, 'close')
      server.close()
      await closed
    },
  }
}

describe('the demo refuses to start in one line', () => {
  test('when the port is busy', async () => {
    const busy = await silentServer()
    try {
      await expectRefusal({ PORT: String(busy.port) }, /Port \d+ is in use.*PORT=\d+ npm start/)
    } finally {
      await busy.close()
    }
  })

  test.each([
    ['PORT', 'http'],
    ['PORT', '70000'],
    ['TOPICS', '0'],
    ['CLIENT_TTL', '-1'],
  ])('when %s is %s', async (name, value) => {
    await expectRefusal({ PORT: '0', [name]: value }, new RegExp(`${name} takes a whole number`))
  })

  test.each(['http://localhost:4222', 'nats://', 'nats://a b'])(
    'when NATS_URL is %s',
    async (value) => {
      await expectRefusal({ PORT: '0', NATS_URL: value }, /address of a NATS server.*nats:\/\//)
    },
  )

  test('when the broker cannot be reached', async () => {
    const gone = await silentServer()
    await gone.close()
    await expectRefusal(
      { PORT: '0', NATS_URL: `nats://someone:secret@127.0.0.1:${gone.port}` },
      new RegExp(`^(?!.*secret).*127\\.0\\.0\\.1:${gone.port}`),
    )
  })
})

describe('the demo that runs', () => {
  let demo: Demo

  beforeAll(async () => {
    demo = await startDemo({ TOPICS: '3' })
  })

  afterAll(async () => {
    await demo.stop('SIGKILL')
  })

  const post = async (path: string, body?: unknown): Promise<{ status: number; json: any }> => {
    const response = await fetch(demo.url + path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    return { status: response.status, json: await response.json() }
  }

  test('serves the page and what it is made of', async () => {
    for (const [path, type] of [
      ['/', 'text/html'],
      ['/main.js', 'text/javascript'],
      ['/base.css', 'text/css'],
      ['/demo.json', 'application/json'],
    ]) {
      const response = await fetch(demo.url + path)
      expect(response.status).toBe(200)
      expect(response.headers.get('content-type')).toContain(type)
      await response.arrayBuffer()
    }
  })

  test.each([
    ['no name', { text: 'hello' }, 'name'],
    ['a name of spaces', { name: '   ', text: 'hello' }, 'name'],
    ['a name that is too long', { name: 'x'.repeat(25), text: 'hello' }, 'name'],
    ['a name that is no text', { name: 1, text: 'hello' }, 'name'],
    ['no text', { name: 'Ann' }, 'text'],
    ['a text that is too long', { name: 'Ann', text: 'x'.repeat(281) }, 'text'],
    ['a line break', { name: 'Ann', text: 'a\nb' }, 'text'],
    ['a list', [], 'name'],
  ])('refuses a chat message with %s', async (_what, body, field) => {
    const { status, json } = await post('/chat', body)
    expect(status).toBe(400)
    expect(json).toEqual({
      error: { code: `invalid-${field}`, message: expect.stringContaining(field) },
    })
  })

  test('refuses a body that is no JSON, or too large', async () => {
    const broken = await post('/chat', '{"name":')
    expect(broken.status).toBe(400)
    expect(broken.json.error.message).not.toContain(' at ')
    const large = await post('/chat', { name: 'Ann', text: 'x'.repeat(10_000) })
    expect(large.status).toBe(413)
  })

  test('counts likes', async () => {
    const first = await post('/likes')
    const second = await post('/likes')
    expect(second.json.likes).toBe(first.json.likes + 1)
  })

  test('refuses topics that are not there to be switched, and clients it does not know', async () => {
    const made = await post('/clients')
    expect(made.status).toBe(201)
    const { client_id } = made.json
    const answer = await post('/update_subscriptions', { client_id, add: ['tick.1', 'chat', 'x'] })
    expect(answer.json.topics).toEqual(['tick.1'])
    expect(answer.json.refused.map(({ topic }: { topic: string }) => topic)).toEqual(['chat', 'x'])

    const unknown = { client_id: 'nobody' }
    expect((await post('/join', unknown)).status).toBe(401)
    expect((await post('/drop', unknown)).json).toEqual({ dropped: 0 })
    expect((await post('/drop', { client_id, seconds: -1 })).status).toBe(400)
    expect((await post('/drop', {})).json.error.code).toBe('invalid-client-id')
    expect((await post('/nothing-here')).status).toBe(404)
  })

  test.each(['SIGINT', 'SIGTERM'] as const)('ends politely on %s', async (signal) => {
    const other = await startDemo()
    const made = await fetch(`${other.url}/clients`, { method: 'POST' })
    const { client_id } = (await made.json()) as { client_id: string }
    const stream = await fetch(`${other.url}/events?id=${client_id}`)
    const [ended, text] = await Promise.all([other.stop(signal), stream.text()])
    expect(ended).toMatchObject({ code: 0, stderr: '' })
    expect(text).toContain('"config"')
    expect(text).toContain('data: Client closed')
  })
})
