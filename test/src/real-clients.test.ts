import { EventSource } from 'eventsource'
import { once } from 'node:events'
import type { ClientHttp2Session, Http2Server } from 'node:http2'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { memoryDriver } from '../../src/drivers/memory.js'
import { Streamer } from '../../src/streamer.js'
import type { Served } from '../support/http-server.js'
import { serve } from '../support/http-server.js'
import { SseParser } from '../support/sse-parser.js'
import { tcpProxy } from '../support/tcp-proxy.js'
import { until } from '../support/until.js'

describe('the eventsource package', () => {
  let served: Served
  afterEach(() => served.dispose())

  test('comes back by itself through a network that breaks, and misses nothing', async () => {
    served = await serve({ retry: { min: 20, max: 20 } })
    const { streamer, driver } = served
    await streamer.newCustomClient('me')
    await streamer.subscribe('me', 'topic')
    const proxy = await tcpProxy(served.port)
    const source = new EventSource(`http://127.0.0.1:${proxy.port}/?id=me`)
    const got: number[] = []
    const infos: string[] = []
    source.addEventListener('topic', ({ data }) => got.push(Number(data)))
    source.addEventListener('message', ({ data }) => infos.push(data as string))
    try {
      await until('the config', () => infos.length > 0)
      let published = 0
      for (let cut = 1; cut <= 4; cut++) {
        for (let i = 0; i < 50; i++) driver.publish('topic', String(++published))
        // Sometimes what was written gets through, sometimes not.
        if (cut % 2 === 0) await until('all of them', () => got.length === published)
        proxy.cut()
        for (let i = 0; i < 50; i++) driver.publish('topic', String(++published))
        await until(`all of them after cut ${cut}`, () => got.length >= published)
      }
      expect(got).toEqual(Array.from({ length: published }, (_, i) => i + 1))
      expect(infos.filter((text) => text.includes('config'))).toHaveLength(5)
      expect(infos.filter((text) => text.includes('error'))).toEqual([])
      expect(streamer.stats().resumes).toEqual({ exact: 4, lost: 0, 'unknown-position': 0 })
      await streamer.removeClient('me')
      await until('the goodbye', () => infos.at(-1) === 'Client closed')
    } finally {
      source.close()
      await proxy.close()
    }
  })
})

describe('HTTP/2 through the compatibility API', () => {
  let server: Http2Server
  let session: ClientHttp2Session
  const driver = memoryDriver()
  const streamer = new Streamer(driver)

  beforeAll(async () => {
    server = createHttp2Server((req, res) => void streamer.handle(req, res))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    session = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    await streamer.newCustomClient('me')
    await streamer.subscribe('me', 'topic')
  })

  afterAll(async () => {
    await streamer.close()
    session.close()
    const closed = once(server, 'close')
    server.close()
    await closed
  })

  function open(path: string) {
    const stream = session.request({ ':path': path })
    const parser = new SseParser()
    const data: string[] = []
    let text = ''
    stream.on('data', (bytes: Buffer) => {
      text += bytes.toString()
      for (const event of parser.feed(bytes)) data.push(event.data)
    })
    return { stream, data, text: () => text }
  }

  test('carries a stream, also when it is slow, and ends when it is aborted', async () => {
    const { stream, data } = open('/?id=me')
    const [headers] = (await once(stream, 'response')) as [Record<string, string | number>]
    expect(headers).toMatchObject({
      ':status': 200,
      'content-type': 'text/event-stream; charset=utf-8',
    })
    expect(headers).not.toHaveProperty('connection')
    await until('the config', () => data.length === 1)
    stream.pause()
    const large = 'x'.repeat(1_000_000)
    for (const payload of ['1', large, '2']) driver.publish('topic', payload)
    await until('the server to wait', () => streamer.stats().sent >= 2)
    stream.resume()
    await until('all of it', () => data.length === 4)
    expect(data.slice(1)).toEqual(['1', large, '2'])
    stream.close(8)
    await until('its end', () => streamer.stats().disconnects.dropped === 1)
    expect(streamer.getClient('me')?.connected).toBe(false)
  })

  test('says goodbye, and refuses as over HTTP/1', async () => {
    const { stream, data } = open('/?id=me')
    await until('the config', () => data.length > 0)
    await streamer.removeClient('me')
    await until('the end', () => stream.closed)
    expect(data.at(-1)).toBe('Client closed')
    const refused = open('/?id=me')
    const [headers] = (await once(refused.stream, 'response')) as [Record<string, number>]
    expect(headers[':status']).toBe(401)
    await until('the body', () => refused.text().includes('NO_CLIENT'))
  })
})
