import { once } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import type { Served } from '../support/http-server.js'
import { dechunk, get, serve } from '../support/http-server.js'
import { SseParser } from '../support/sse-parser.js'
import { Stage, turns } from '../support/stage.js'
import { until } from '../support/until.js'

const MEBIBYTE = 1024 * 1024

describe('one that is behind when it is removed', () => {
  test.each(['removeClient', 'revoke', 'close'] as const)(
    'is told by %s what it misses, before the goodbye',
    async (how) => {
      const stage = new Stage()
      await stage.client('me', 'a', 'b', 'quiet')
      const page = await stage.connect('me', undefined, 100)
      page.response.stopReading()
      for (let i = 1; i <= 5; i++) stage.driver.publish('a', `${i} ${'x'.repeat(200)}`)
      stage.driver.publish('b', '1')
      await turns()
      stage.driver.publish('a', '6')
      await turns()
      if (how === 'close') void stage.streamer.close()
      else await stage.streamer[how]('me')
      await turns()
      page.response.read(Infinity)
      await turns()
      expect(page.got.at(-1)).toBe('Client closed')
      const told = page.got.filter((one) => one.startsWith('messages-lost'))
      expect(new Set(told)).toEqual(new Set(['messages-lost:a']))
      await stage.dispose()
    },
  )

  test('is told nothing where it has everything', async () => {
    const stage = new Stage()
    await stage.client('me', 'a')
    const page = await stage.connect('me')
    stage.driver.publish('a', '1')
    await stage.streamer.removeClient('me')
    await turns()
    expect(page.got).toEqual(['a=1', 'Client closed'])
    await stage.dispose()
  })
})

describe('over real sockets', () => {
  let served: Served
  afterEach(() => served.dispose())

  /** What waits in the process for the only response. */
  const waiting = () => served.responses[0]!.socket?.writableLength ?? 0

  test('one that does not read takes no memory, and goes on in order when it reads', async () => {
    served = await serve()
    await served.streamer.newCustomClient('me')
    await served.streamer.subscribe('me', 'topic')
    const client = served.raw(get('me'))
    await client.has('config')
    client.socket.pause()
    let published = 0
    const publish = async () => {
      const payload = 'x'.repeat(16 * 1024)
      for (let i = 0; i < 16; i++) served.driver.publish('topic', `${++published} ${payload}`)
      await turn()
    }
    // Until the kernel takes no more, and then as much again.
    for (let i = 0; i < 12 && waiting() === 0; i++) await publish()
    for (let i = 0; i < 6; i++) await publish()
    expect(waiting()).toBeGreaterThan(0)
    expect(waiting()).toBeLessThan(MEBIBYTE / 4)
    served.driver.publish('topic', 'last')
    client.socket.resume()
    await client.has('data: last')
    const events = new SseParser().feed(dechunk(client.body).content).slice(1)
    const got = events.map(({ type, data }) => (type === 'topic' ? data.split(' ')[0] : data))
    const lost = got.findIndex((text) => text?.includes('messages-lost'))
    // Eight mebibytes of one topic are kept: all is there, or it is said where it is missing.
    const numbers = got.filter((_, i) => i !== lost)
    expect(numbers.at(-1)).toBe('last')
    expect(numbers.slice(0, -1).map(Number)).toEqual(
      lost < 0
        ? Array.from({ length: published }, (_, i) => i + 1)
        : numbers
            .slice(0, -1)
            .map(Number)
            .toSorted((a, b) => a - b),
    )
  })

  test('5 MiB in one message reach a slow reader whole', async () => {
    served = await serve()
    await served.streamer.newCustomClient('me')
    await served.streamer.subscribe('me', 'topic')
    const client = served.raw(get('me'))
    await client.has('config')
    client.socket.pause()
    const payload = Array.from({ length: 640 * 1024 }, (_, i) => `${i % 9}-line\r`).join('')
    served.driver.publish('topic', payload)
    served.driver.publish('topic', 'after')
    await turn()
    for (let i = 0; i < 20; i++) {
      client.socket.resume()
      await once(client.socket, 'data')
      client.socket.pause()
      await turn()
    }
    client.socket.resume()
    await client.has('data: after')
    const [, large, after] = new SseParser().feed(dechunk(client.body).content)
    expect(large!.data.length).toBe(payload.length)
    expect(large!.data === payload.replaceAll('\r', '\n')).toBe(true)
    expect(after).toMatchObject({ data: 'after' })
  })

  test('one that accepts no bytes for slowClientTimeout is disconnected', async () => {
    served = await serve({ slowClientTimeout: 50 })
    await served.streamer.newCustomClient('me')
    await served.streamer.subscribe('me', 'topic')
    const client = served.raw(get('me'))
    await client.has('config')
    client.socket.pause()
    const gone = once(served.streamer, 'disconnect')
    for (let i = 0; i < 24 && waiting() === 0; i++) {
      served.driver.publish('topic', 'x'.repeat(MEBIBYTE))
      await turn()
    }
    expect((await gone)[1]).toBe('slow')
    expect(served.streamer.getClient('me')?.connected).toBe(false)
    await until('the end of the socket', () => served.responses[0]!.destroyed)
  })
})

describe('on a clock that the test moves', () => {
  let stage: Stage
  afterEach(() => stage.dispose())

  async function stalled(options = {}) {
    stage = new Stage({ slowClientTimeout: 1_000, ...options })
    await stage.client('me', 'a')
    const page = await stage.connect('me', undefined, 100)
    page.response.stopReading()
    stage.driver.publish('a', 'x'.repeat(100))
    await turns()
    return page
  }

  test('the time runs from the moment when it is full', async () => {
    const page = await stalled()
    await stage.wait(999)
    expect(page.response.destroyed).toBe(false)
    await stage.wait(1)
    expect(page.response.destroyed).toBe(true)
    expect(stage.streamer.stats()).toMatchObject({ connections: 0, disconnects: { slow: 1 } })
  })

  test('the time begins anew when it has drained', async () => {
    const page = await stalled()
    await stage.wait(900)
    page.response.read(1_000)
    await stage.wait(5_000)
    stage.driver.publish('a', 'y'.repeat(100))
    await turns()
    await stage.wait(900)
    expect(page.response.destroyed).toBe(false)
    page.response.read(Infinity)
    await stage.wait(5_000)
    expect(page.got).toEqual([`a=${'x'.repeat(100)}`, `a=${'y'.repeat(100)}`])
  })

  test('messages that the history drops meanwhile give messages-lost, before later ones', async () => {
    const page = await stalled({ history: { maxBytesPerTopic: 3_000 } })
    const told: string[] = []
    stage.streamer.on('messagesLost', ({ id }, topic) => told.push(`${id} ${topic}`))
    for (let i = 1; i <= 20; i++) stage.driver.publish('a', `${i}`)
    await turns()
    expect(page.response.writableLength).toBeLessThan(300)
    page.response.read(Infinity)
    await turns()
    expect(page.got.slice(1)).toEqual(['messages-lost:a', 'a=17', 'a=18', 'a=19', 'a=20'])
    expect(told).toEqual(['me a'])
  })

  test('it gets messages-lost again when it reconnects, unless its position shows that it has got it', async () => {
    const page = await stalled({ history: { maxBytesPerTopic: 3_000 } })
    for (let i = 1; i <= 20; i++) stage.driver.publish('a', `${i}`)
    await turns()
    const { lastEventId } = page
    page.response.read(Infinity)
    page.response.destroy()
    await turns()
    const second = await stage.connect('me', lastEventId)
    expect(second.got[0]).toBe('messages-lost:a')
    expect((await stage.connect('me', second.lastEventId)).got).toEqual([])
  })

  test('heartbeats go only to clients that read, as comments or as messages', async () => {
    stage = new Stage({ heartbeat: 'message', heartbeatInterval: 100, slowClientTimeout: 10_000 })
    await stage.client('me', 'a')
    const page = await stage.connect('me', undefined, 100)
    await stage.wait(1_000)
    const { length } = page.got
    expect(length).toBeGreaterThanOrEqual(10)
    expect(new Set(page.got)).toEqual(new Set(['{"heartbeat":true}']))
    expect(JSON.parse(page.events[0]!.data)).toMatchObject({ config: { heartbeat_millis: 100 } })
    expect(page.events.slice(1).some(({ hasId }) => hasId)).toBe(false)
    page.response.stopReading()
    stage.driver.publish('a', 'x'.repeat(200))
    await turns()
    await stage.wait(1_000)
    page.response.read(Infinity)
    await turns()
    expect(page.got.slice(length)).toEqual([`a=${'x'.repeat(200)}`])
  })

  test('maxConnectionAge ends a stream, and the client resumes where it was', async () => {
    stage = new Stage({ maxConnectionAge: 1_000, random: () => 0.5 })
    await stage.client('me', 'a')
    const page = await stage.connect('me')
    await stage.wait(949)
    expect(page.response.closed).toBe(false)
    await stage.wait(1)
    expect(page.response.closed).toBe(true)
    stage.driver.publish('a', '1')
    expect((await stage.connect('me', page.lastEventId)).got).toEqual(['a=1'])
    expect(stage.streamer.stats().disconnects.aged).toBe(1)
  })
})
