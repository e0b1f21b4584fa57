import { once } from 'node:events'
import { Agent, createServer, request } from 'node:http'
import type { ClientHttp2Session, ClientHttp2Stream, Http2Server } from 'node:http2'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { memoryDriver } from '../../src/drivers/memory.js'
import type { ShutdownOptions } from '../../src/http/shutdown.js'
import { Streamer } from '../../src/streamer.js'
import type { Served } from '../support/http-server.js'
import { get, serve } from '../support/http-server.js'
import { fakeRequest, FakeResponse } from '../support/fake-response.js'
import { Stage } from '../support/stage.js'
import { until } from '../support/until.js'

/** Counts from a call on; a test that waits for a bound is far from it. */
async function timeOf(work: Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work
  return performance.now() - began
}

describe('shutdown of a server of node:http', () => {
  let served: Served
  afterEach(() => served.dispose())

  /** One stream, one connection that is kept alive, and no request under way. */
  async function busy(): Promise<ReturnType<Served['raw']>[]> {
    served = await serve({}, ({ streamer }) => (req, res) => {
      if (req.url?.startsWith('/api')) res.end('fine')
      else void streamer.handle(req, res)
    })
    await served.streamer.newCustomClient('me')
    const stream = served.raw(get('me'))
    await stream.has('config')
    const kept = served.raw('GET /api HTTP/1.1\r\nHost: x\r\n\r\n')
    await kept.has('fine')
    return [stream, kept]
  }

  const orders: Record<string, (options: ShutdownOptions) => Promise<unknown>> = {
    'shutdown alone': (options) => served.streamer.shutdown(served.server, options),
    'server.close, then shutdown': (options) => {
      served.server.close()
      return served.streamer.shutdown(served.server, options)
    },
    'drain, then shutdown': ({ over = 0 }) => {
      void served.streamer.drain({ over })
      return served.streamer.shutdown(served.server, { over })
    },
    'shutdown when all is closed already': async (options) => {
      served.server.close()
      await served.streamer.close()
      return served.streamer.shutdown(served.server, options)
    },
    'shutdown twice': (options) =>
      Promise.all([
        served.streamer.shutdown(served.server, options),
        served.streamer.shutdown(served.server, options),
      ]),
  }

  test.each(Object.keys(orders).flatMap((order) => [0, 200].map((over) => ({ order, over }))))(
    '$order, over $over, leaves no connection and no listener',
    async ({ order, over }) => {
      const clients = await busy()
      expect(await timeOf(orders[order]!({ over }))).toBeLessThan(4_000)
      await Promise.all(clients.map((client) => client.end()))
      expect(clients[0]!.text).toMatch(/Client closed\n\n\r\n0\r\n\r\n$/)
      expect(served.server.listening).toBe(false)
      expect(served.server.listenerCount('request')).toBe(1)
    },
  )

  test('server.close and drain end it as well, without shutdown', async () => {
    const [stream] = await busy()
    served.server.close()
    await served.streamer.drain({ over: 100 })
    await stream!.end()
  })

  test('answers requests that are under way, and takes no further ones on their connections', async () => {
    const answers: (() => void)[] = []
    served = await serve({}, () => (_req, res) => answers.push(() => res.end('late')))
    const agent = new Agent({ keepAlive: true })
    const answered = once(request({ port: served.port, agent }).end(), 'response')
    await until('the request', () => answers.length === 1)
    const over = served.streamer.shutdown(served.server)
    answers[0]!()
    const [response] = await answered
    ;(response as NodeJS.ReadableStream).resume()
    await over
    agent.destroy()
  })

  test('cuts what takes longer than timeout', async () => {
    served = await serve({}, () => () => undefined)
    const hanging = served.raw('GET /api HTTP/1.1\r\nHost: x\r\n\r\n')
    await until('the request', () => served.responses.length === 1)
    await served.streamer.shutdown(served.server, { timeout: 50 })
    await hanging.end()
  })

  test('closes the server also if the driver can not be closed in order', async () => {
    const driver = { ...memoryDriver(), close: () => Promise.reject(new Error('stuck')) }
    const streamer = new Streamer(driver)
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    served = await serve()
    await expect(streamer.shutdown(server)).rejects.toThrow('stuck')
    expect(server.listening).toBe(false)
  })

  test.each([[undefined], [null], [{}], ['server'], [[createServer(), 7]]])(
    'refuses %p as a server',
    async (server) => {
      served = await serve()
      await expect(served.streamer.shutdown(server as never)).rejects.toThrow(
        "takes a server of Node's",
      )
    },
  )
})

describe('over HTTP/2', () => {
  let streamer: Streamer
  let server: Http2Server
  let session: ClientHttp2Session
  const answers: (() => void)[] = []
  let saidGoaway = false

  beforeEach(async () => {
    answers.length = 0
    saidGoaway = false
    streamer = new Streamer(memoryDriver())
    server = createHttp2Server((req, res) => {
      if (req.url === '/api') answers.push(() => res.end('fine'))
      else void streamer.handle(req, res)
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    session = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    session.on('goaway', () => (saidGoaway = true))
  })
  afterEach(async () => {
    session.destroy()
    await streamer.shutdown(server)
  })

  async function open(path: string): Promise<{ stream: ClientHttp2Stream; text: () => string }> {
    const stream = session.request({ ':path': path })
    let text = ''
    stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
    if (path !== '/api') await once(stream, 'response')
    return { stream, text: () => text }
  }

  test('a stream that ends as the server closes says goaway, and the connection ends', async () => {
    await streamer.newCustomClient('me')
    const { text } = await open('/?id=me')
    await Promise.all([once(session, 'close'), streamer.close()])
    expect(saidGoaway).toBe(true)
    expect(text()).toMatch(/Client closed\n\n$/)
  })

  test('what else is open on the connection goes on to its end', async () => {
    await streamer.newCustomClient('me')
    const { stream } = await open('/?id=me')
    const other = await open('/api')
    await until('the request', () => answers.length === 1)
    const down = streamer.shutdown(server)
    await once(stream, 'close')
    expect(session.destroyed).toBe(false)
    answers[0]!()
    await down
    expect(other.text()).toBe('fine')
  })

  test('a stream that ends for another reason leaves the connection open', async () => {
    await streamer.newCustomClient('one')
    const { stream } = await open('/?id=one')
    await Promise.all([once(stream, 'close'), streamer.removeClient('one')])
    await streamer.newCustomClient('two')
    const { text } = await open('/?id=two')
    await until('the stream', () => text().includes('config'))
    expect(saidGoaway).toBe(false)
  })

  test('shutdown ends a connection whose streams have ended before', async () => {
    await streamer.newCustomClient('one')
    const { stream } = await open('/?id=one')
    await Promise.all([once(stream, 'close'), streamer.removeClient('one')])
    await Promise.all([once(session, 'close'), streamer.shutdown(server)])
  })
})

test.each(['close', 'drain'] as const)(
  '%s settles within five seconds for a response that never says that it is closed',
  async (verb) => {
    const stage = new Stage()
    await stage.client('me')
    const response = new FakeResponse()
    response.emit = () => true
    await stage.streamer.handle(fakeRequest('me'), response.asResponse)
    let settled = false
    const done = stage.streamer[verb]().then(() => (settled = true))
    await stage.wait(4_999)
    expect(settled).toBe(false)
    await stage.wait(1)
    await done
    await stage.dispose()
  },
)
