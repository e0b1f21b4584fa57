import { EventEmitter } from 'node:events'
import type { ConnectionRate } from '../../src/index.js'
import { limitConnectionRate, OptionsError } from '../../src/index.js'
import type { Served } from '../support/http-server.js'
import { get, serve } from '../support/http-server.js'
import { until } from '../support/until.js'

/** So slow that nobody gets in by waiting while a test runs. */
const HARDLY_EVER = 0.001

let served: Served
let dropped = 0

beforeEach(async () => {
  served = await serve()
  dropped = 0
  served.server.on('drop', () => dropped++)
})

afterEach(() => served.dispose())

const ask = () => served.raw(get('nobody'))

/** Connects so many, each when the one before has had its answer or its end. */
async function knock(times: number): Promise<number> {
  let answered = 0
  for (let i = 0; i < times; i++) {
    const client = ask()
    await until('an answer or the end', () => client.ended || client.text.includes('401'))
    if (client.text !== '') answered++
    client.socket.destroy()
  }
  return answered
}

test('accepts a burst, and closes further connections before they are read', async () => {
  limitConnectionRate(served.server, { perSecond: HARDLY_EVER, burst: 3 })
  expect(await knock(10)).toBe(3)
  expect(dropped).toBe(7)
  expect(served.responses).toHaveLength(3)
})

test('accepts further connections evenly over time', async () => {
  limitConnectionRate(served.server, { perSecond: 20, burst: 1 })
  const start = performance.now()
  let taken = 0
  let tried = 0
  while (taken < 5) {
    taken += await knock(1)
    tried++
  }
  // The first one comes at once, and each of the others a twentieth of a second after the last.
  expect(performance.now() - start).toBeGreaterThan(4 * 50 - 10)
  expect(tried).toBe(5 + dropped)
})

test('open streams go on while new connections are refused', async () => {
  const { id } = await served.streamer.newClient()
  await served.streamer.subscribe(id, 'orders')
  limitConnectionRate(served.server, { perSecond: HARDLY_EVER, burst: 1 })
  const stream = served.raw(get(id))
  await stream.has('"config"')
  expect(await knock(3)).toBe(0)
  served.driver.publish('orders', 'still there')
  await stream.has('still there')
  expect(stream.ended).toBe(false)
})

test("the server's own maxConnections holds again afterwards", async () => {
  served.server.maxConnections = 1
  limitConnectionRate(served.server, { perSecond: 100, burst: 1 })
  const { id } = await served.streamer.newClient()
  const stream = served.raw(get(id))
  await stream.has('"config"')
  await until('the next one to be let in', () => served.server.maxConnections === 1)
  expect(await knock(3)).toBe(0)
  expect(dropped).toBe(3)
  expect(served.server.maxConnections).toBe(1)
})

test('maxConnections stays as the application sets it while none is accepted', async () => {
  limitConnectionRate(served.server, { perSecond: 5, burst: 1 })
  expect(await knock(1)).toBe(1)
  served.server.maxConnections = 7
  // Once it is closed and open again, what was set before would be back.
  await until('it to be closed again', async () => {
    await knock(1)
    return served.server.maxConnections < 0
  })
  await until('it to be open', () => served.server.maxConnections >= 0)
  expect(served.server.maxConnections).toBe(7)
})

test('a server that was closed accepts connections when it listens again', async () => {
  limitConnectionRate(served.server, { perSecond: HARDLY_EVER, burst: 1 })
  expect(await knock(2)).toBe(1)
  await new Promise((resolve) => served.server.close(resolve))
  expect(served.server.maxConnections).toBeUndefined()
  await new Promise<void>((resolve) => served.server.listen(served.port, '127.0.0.1', resolve))
  expect(await knock(2)).toBe(1)
})

test.each<[object, string]>([
  [{}, 'perSecond'],
  [{ perSecond: 0 }, 'got 0'],
  [{ perSecond: '100' }, 'got "100"'],
  [{ perSecond: 10, burst: 0.5 }, 'burst'],
  [{ perSecond: 10, most: 5 }, 'limitConnectionRate has no option most. It has perSecond, burst.'],
])('refuses %j', (rate, said) => {
  const limit = () => limitConnectionRate(served.server, rate as ConnectionRate)
  expect(limit).toThrow(OptionsError)
  expect(limit).toThrow(said)
  expect(served.server.listenerCount('close')).toBe(0)
})

test.each([
  ['an Express app', Object.assign(() => undefined, { on: () => undefined, use: () => undefined })],
  ['undefined', undefined],
  ['null', null],
  ['a port', 8080],
  ['an emitter', new EventEmitter()],
])('%s is refused: it is no server', (_what, given) => {
  expect(() => limitConnectionRate(given as never, { perSecond: 1 })).toThrow(OptionsError)
})

test('a second limit for one server is refused', () => {
  limitConnectionRate(served.server, { perSecond: 10 })
  expect(() => limitConnectionRate(served.server, { perSecond: 1 })).toThrow('Call it once')
})
