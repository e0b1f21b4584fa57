import { once } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import type { Served } from '../support/http-server.js'
import { dechunk, get, serve } from '../support/http-server.js'
import { SseParser } from '../support/sse-parser.js'
import { until } from '../support/until.js'

let served: Served
afterEach(() => served.dispose())

const messages = (content: Buffer) =>
  new SseParser().feed(content).filter(({ type }) => type === 'topic')

async function subscribed(id = 'me'): Promise<void> {
  await served.streamer.newCustomClient(id)
  await served.streamer.subscribe(id, 'topic')
}

describe('the response', () => {
  test('has headers that keep proxies from buffering, and begins with the config', async () => {
    served = await serve()
    await subscribed()
    const client = served.raw(get('me'))
    await client.has('config')
    expect(client.text).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(client.text).toMatch(/\r\nContent-Type: text\/event-stream; charset=utf-8\r\n/)
    expect(client.text).toMatch(/\r\nCache-Control: no-cache, no-transform\r\n/)
    expect(client.text).toMatch(/\r\nX-Accel-Buffering: no\r\n/)
    const [first] = new SseParser().feed(dechunk(client.body).content)
    expect(JSON.parse(first!.data)).toEqual({
      config: { client_id: 'me', client_ttl_millis: 60_000 },
      subscriptions: ['topic'],
    })
    expect(first).toMatchObject({ hasId: true, type: 'message' })
    expect(first!.retry).toBeGreaterThanOrEqual(2_000)
    expect(first!.retry).toBeLessThanOrEqual(5_000)
  })

  test('goes on behind a middleware whose res.write returns nothing', async () => {
    served = await serve({ slowClientTimeout: 200 }, ({ streamer }) => (req, res) => {
      const write = res.write.bind(res) as (chunk: Uint8Array) => boolean
      res.write = ((chunk: Uint8Array) => void write(chunk)) as never
      void streamer.handle(req, res, { id: 'recorded' })
    })
    await subscribed('recorded')
    const reader = served.raw(get('recorded'))
    await reader.has('config')
    for (const text of ['one', 'two', 'three']) {
      served.driver.publish('topic', text)
      await reader.has(text)
    }
  })

  test('is valid chunked coding, with the bytes that a wrapped res.write gets', async () => {
    let wrap = false
    let seen = 0
    served = await serve({ random: () => 0 }, ({ streamer }) => (req, res) => {
      if (wrap) {
        const write = res.write.bind(res) as (chunk: Uint8Array) => boolean
        res.write = ((chunk: Uint8Array) => {
          seen += chunk.length
          return write(chunk)
        }) as typeof res.write
      }
      void streamer.handle(req, res, { id: wrap ? 'wrapped' : 'plain' })
    })
    await subscribed('plain')
    await subscribed('wrapped')
    const plain = served.raw(get('plain'))
    await plain.has('config')
    wrap = true
    const wrapped = served.raw(get('wrapped'))
    await wrapped.has('config')
    served.driver.publish('topic', 'one')
    served.driver.publish('topic', 'two\r\nlines')
    await turn()
    served.driver.publish('topic', 'x'.repeat(200_000))
    served.driver.publish('topic', 'last')
    await Promise.all([plain.has('data: last'), wrapped.has('data: last')])
    await served.streamer.close()
    await Promise.all([plain.has('\r\n0\r\n\r\n'), wrapped.has('\r\n0\r\n\r\n')])
    const [a, b] = [plain, wrapped].map(({ body }) => dechunk(body))
    expect(a!.complete && b!.complete).toBe(true)
    expect(a!.content.toString().replaceAll('plain', 'wrapped')).toBe(b!.content.toString())
    expect(seen).toBe(b!.content.length)
    expect(messages(a!.content).map(({ data }) => data.slice(0, 9))).toEqual([
      'one',
      'two\nlines',
      'xxxxxxxxx',
      'last',
    ])
  })

  test('has no chunks over HTTP/1.0, whose connection ends with it', async () => {
    served = await serve()
    await subscribed()
    const client = served.raw(get('me', '', '1.0'))
    await client.has('config')
    served.driver.publish('topic', 'hello')
    await client.has('data: hello')
    await served.streamer.removeClient('me')
    await client.end()
    expect(messages(client.body)).toMatchObject([{ data: 'hello' }])
    expect(client.text).toMatch(/data: Client closed\n\n$/)
  })

  test('has only headers for HEAD, and the client is unchanged', async () => {
    served = await serve()
    await subscribed()
    const client = served.raw(get('me', 'Connection: close\r\n').replace('GET', 'HEAD'))
    await client.end()
    expect(client.text).toMatch(/200 OK[^]*text\/event-stream/)
    expect(client.body.toString()).toBe('')
    expect(served.streamer.getClient('me')?.connected).toBe(false)
  })

  test.each([
    ['GET / HTTP/1.1', '', 400, 'ERR_UNIFROST_NO_ID'],
    ['GET /?id=nobody HTTP/1.1', '', 401, 'ERR_UNIFROST_NO_CLIENT'],
    ['GET /?id=hers HTTP/1.1', '', 403, 'ERR_UNIFROST_NOT_OWNER'],
    ['POST /?id=me HTTP/1.1', 'Content-Length: 0\r\n', 405, 'ERR_UNIFROST_METHOD'],
    ['GET /?id=me HTTP/1.1', 'Accept: text/html, */*;q=0\r\n', 406, 'ERR_UNIFROST_NOT_ACCEPTABLE'],
  ])('is an error as JSON for %s %s', async (line, headers, status, code) => {
    served = await serve()
    await subscribed()
    await served.streamer.newCustomClient('hers', { owner: 'her' })
    const client = served.raw(`${line}\r\nHost: x\r\nConnection: close\r\n${headers}\r\n`)
    await client.end()
    expect(client.text).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    if (status === 405) expect(client.text).toMatch(/\r\nAllow: GET, HEAD\r\n/)
    const { error } = JSON.parse(client.body.toString()) as { error: Record<string, string> }
    expect(error).toEqual({ code, message: expect.any(String) as string })
  })
})

describe('a stream on a connection that other requests use', () => {
  test('closes it after its last byte, so that the next request finds another server', async () => {
    served = await serve({}, ({ streamer }) => (req, res) => {
      if (req.url === '/first') res.end('first')
      else void streamer.handle(req, res)
    })
    served.server.keepAliveTimeout = 60_000
    await subscribed()
    const client = served.raw('GET /first HTTP/1.1\r\nHost: x\r\n\r\n')
    await client.has('first')
    client.socket.write(get('me'))
    await client.has('config')
    expect(client.text).toMatch(/^Connection: close\r$/m)
    await served.streamer.removeClient('me')
    await client.end()
    expect(client.text).toMatch(/Client closed\n\n\r\n0\r\n\r\n$/)
  })

  test('closes it too where the application has sent a head that keeps it alive', async () => {
    served = await serve({}, ({ streamer }) => (req, res) => {
      const { writeHead } = res
      res.writeHead = (status: number) => {
        res.setHeader('Connection', 'keep-alive')
        return writeHead.call(res, status)
      }
      void streamer.handle(req, res)
    })
    served.server.keepAliveTimeout = 60_000
    await subscribed()
    const client = served.raw(get('me'))
    await client.has('config')
    expect(client.text).toMatch(/^Connection: keep-alive\r$/m)
    await served.streamer.removeClient('me')
    await client.end()
    expect(client.text).toMatch(/Client closed\n\n\r\n0\r\n\r\n$/)
  })

  test('leaves no listener on it when it is refused', async () => {
    served = await serve()
    const client = served.raw('')
    for (let i = 0; i < 12; i++) {
      client.socket.write(get(`nobody${i}`))
      await until('the answer', () => client.text.split('HTTP/1.1 401').length === i + 2)
    }
    const [socket] = [...new Set(served.responses.map(({ req }) => req.socket))]
    expect(served.responses).toHaveLength(12)
    expect(socket!.listenerCount('drain')).toBeLessThanOrEqual(1)
    expect(socket!.listenerCount('close')).toBeLessThanOrEqual(4)
  })

  test('writes nothing to it after the peer has sent its last byte', async () => {
    served = await serve({ heartbeatInterval: 0 })
    await subscribed()
    const client = served.raw(get('me'))
    await client.has('config')
    const { socket } = served.responses[0]!.req
    const errors: unknown[] = []
    socket.on('error', (error) => errors.push(error))
    client.socket.pause()
    // The kernel is full, and Node's own buffer is not: the server may go on writing.
    while (socket.writableLength === 0) {
      served.driver.publish('topic', 'x'.repeat(4_000))
      await turn()
    }
    client.socket.end()
    await once(socket, 'end')
    expect(socket.destroyed).toBe(false)
    for (let i = 0; i < 10; i++) {
      served.driver.publish('topic', 'later')
      await turn()
    }
    expect(errors).toEqual([])
    client.socket.destroy()
  })

  test('waits behind the response before it', async () => {
    const open: (() => void)[] = []
    served = await serve({}, ({ streamer }) => (req, res) => {
      if (req.url === '/first') open.push(() => res.end('first'))
      else void streamer.handle(req, res)
    })
    await subscribed()
    const client = served.raw('GET /first HTTP/1.1\r\nHost: x\r\n\r\n' + get('me'))
    await until('the stream', () => served.streamer.stats().connections === 1)
    served.driver.publish('topic', 'waits')
    await turn()
    open[0]!()
    await client.has('data: waits')
    expect(client.text).toMatch(/\r\n\r\nfirstHTTP\/1\.1 200 OK\r\n/)
    served.driver.publish('topic', 'goes on')
    await client.has('data: goes on')
  })

  test('ends with a peer that goes while the stream waits behind another response', async () => {
    served = await serve({}, ({ streamer }) => (req, res) => {
      if (req.url !== '/first') void streamer.handle(req, res)
    })
    await subscribed()
    const client = served.raw('GET /first HTTP/1.1\r\nHost: x\r\n\r\n' + get('me'))
    await until('the stream', () => served.streamer.stats().connections === 1)
    client.socket.destroy()
    await until('its end', () => served.streamer.stats().connections === 0, 3_000)
    expect(served.streamer.getClient('me')?.connected).toBe(false)
  })

  test('ends by itself when it waits behind a response that never ends', async () => {
    served = await serve({ slowClientTimeout: 30 }, ({ streamer }) => (req, res) => {
      if (req.url !== '/first') void streamer.handle(req, res)
    })
    await subscribed()
    served.raw('GET /first HTTP/1.1\r\nHost: x\r\n\r\n' + get('me'))
    await until('the stream', () => served.streamer.stats().connections === 1)
    served.driver.publish('topic', 'x'.repeat(200_000))
    await until('its end', () => served.streamer.stats().disconnects.slow === 1, 3_000)
    expect(served.streamer.stats().connections).toBe(0)
  })
})

describe('a request', () => {
  test('whose body was read before is served all the same', async () => {
    served = await serve({}, ({ streamer }) => (req, res) => {
      req.resume().once('end', () => setImmediate(() => void streamer.handle(req, res)))
    })
    await subscribed()
    const client = served.raw(get('me'))
    await client.has('config')
  })

  test('that was aborted before gets nothing, and leaves nothing', async () => {
    let reached: (() => void) | undefined
    served = await serve({}, ({ streamer }) => (req, res) => {
      void once(res, 'close').then(() => {
        void streamer.handle(req, res)
        reached?.()
      })
    })
    await subscribed()
    const handled = new Promise<void>((resolve) => (reached = resolve))
    const client = served.raw(get('me'))
    await until('the request', () => served.responses.length === 1)
    client.socket.destroy()
    await handled
    expect(served.streamer.stats().connections).toBe(0)
    expect(served.streamer.getClient('me')?.connected).toBe(false)
  })

  test('that was answered already is left alone', async () => {
    served = await serve({}, ({ streamer }) => (req, res) => {
      res.end('answered')
      void streamer.handle(req, res)
    })
    await subscribed()
    const client = served.raw(get('me'))
    await client.has('answered')
    expect(served.streamer.stats().connections).toBe(0)
  })

  test('that aborts while its stream is open starts its TTL', async () => {
    served = await serve()
    await subscribed()
    const gone = once(served.streamer, 'disconnect')
    const client = served.raw(get('me'))
    await client.has('config')
    client.socket.resetAndDestroy()
    expect((await gone)[1]).toBe('dropped')
    expect(served.streamer.getClient('me')?.connected).toBe(false)
    expect(served.streamer.stats().disconnects.dropped).toBe(1)
  })
})
