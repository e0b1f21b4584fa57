import { EventEmitter } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { rabbitmqDriver } from '../../../src/drivers/rabbitmq.js'
import type { RabbitConnection, RabbitmqDriverOptions } from '../../../src/drivers/rabbitmq.js'
import { routesFor } from '../../../src/drivers/rabbitmq/routes.js'
import { recordingSink } from '../../../src/testing/index.js'

const URL = 'amqp://127.0.0.1:1'

describe('rabbitmqDriver refuses at once', () => {
  test.each([
    ['', 'as the address'],
    ['amqp://', 'as the address'],
    ['127.0.0.1:5672', 'amqp://host:port'],
    ['http://127.0.0.1:5672', 'amqp://host:port'],
    ['amqp://host:port', 'amqp://host:port'],
    [{}, '{ hostname, … }'],
    [{ hostname: '' }, '{ hostname, … }'],
    [{ hostname: 'a', protocol: 'mqtt' }, 'mqtt://'],
    [undefined, 'undefined'],
    [null, 'null'],
    [42, 'number'],
  ])('%j as an address', (target, part) => {
    const make = () => rabbitmqDriver(target as string)
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_UNIFROST_OPTIONS' }))
    expect(make).toThrow(part)
  })

  test('and keeps the password of a bad address to itself', () => {
    expect(() => rabbitmqDriver('http://ann:s3cret@127.0.0.1')).toThrow(/^(?!.*s3cret)/)
  })

  const route = () => 'x'
  test.each([
    [{ encoding: 'latin1' }, 'encoding'],
    [{ exchange: '' }, 'exchange'],
    [{ exchange: 'x'.repeat(201) }, 'exchange'],
    [{ exchangeType: 'headers' }, 'bind one of these'],
    [{ exchangeType: 'fanout' }, 'route'],
    [{ address: 'orders' }, 'address'],
    [{ address: route, route, sources: ['x'] }, 'not both'],
    [{ sources: ['x'] }, 'route'],
    [{ route }, 'sources'],
    [{ route, sources: [] }, 'sources'],
    [{ route, sources: ['x'.repeat(256)] }, '255 bytes'],
    [{ payload: 'x' }, 'payload'],
    [{ queuePrefix: 7 }, 'queuePrefix'],
    [{ heartbeat: 500 }, 'heartbeat'],
    [{ heartbeat: 1_500 }, 'heartbeat'],
    [{ connectTimeout: 0 }, 'connectTimeout'],
    [{ subscribeTimeout: Infinity }, 'subscribeTimeout'],
    [{ checkInterval: -1 }, 'checkInterval'],
    [{ adress: route }, 'adress'],
  ])('%p as options', (options, part) => {
    const make = () => rabbitmqDriver(URL, options as RabbitmqDriverOptions)
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_UNIFROST_OPTIONS' }))
    expect(make).toThrow(part)
  })

  test.each([
    ['', undefined, 'not empty'],
    ['x'.repeat(256), undefined, 'at most 255 bytes'],
    ['€'.repeat(86), undefined, 'at most 255 bytes'],
    ['\ud800', undefined, 'lone surrogates'],
    [42, undefined, 'has a name'],
    ['x', () => 42, 'is a string'],
    ['x', () => ({ exchange: '', routingKey: 'x' }), 'exchange has a name'],
    ['x', () => ({ exchange: 'x' }), 'is a string'],
    ['x', () => null, 'is a string'],
  ])('%p with address %p as a topic', async (topic, address, part) => {
    const options = address && { address: address as unknown as () => string }
    const driver = rabbitmqDriver(URL, options)
    const subscribing = driver.subscribe(topic as string, recordingSink())
    await expect(subscribing).rejects.toMatchObject({
      code: 'ERR_UNIFROST_TOPIC_NAME',
      message: expect.stringContaining(part),
    })
    await driver.close()
  })

  test('what makes no channels as amqplib with promises does', async () => {
    const target = Object.assign(new EventEmitter(), { createChannel: () => ({}) })
    const driver = rabbitmqDriver(target as unknown as RabbitConnection)
    await expect(driver.connect()).rejects.toThrow('with promises')
    await driver.close()
    expect(target.eventNames()).toEqual([])
  })
})

describe('rabbitmqDriver by address', () => {
  const connect = jest.fn()
  beforeEach(() => {
    jest.doMock('amqplib', () => ({ connect }))
    connect.mockReset().mockRejectedValue(new Error('not now'))
  })
  afterEach(() => jest.dontMock('amqplib'))

  async function asked(target: unknown): Promise<unknown> {
    const driver = rabbitmqDriver(target as string)
    const where = /^RabbitMQ could not be reached at (\S+) \(not now\)/
    const says = await driver.connect().catch((error: Error) => where.exec(error.message)?.[1])
    await driver.close()
    return [says, connect.mock.calls[0][0] as unknown]
  }

  test.each([
    ['amqp://a', ['a:5672', 'amqp://a?heartbeat=2']],
    ['amqps://a/v', ['a:5671', 'amqps://a/v?heartbeat=2']],
    ['amqp://u:p%40@[::1]:7', ['[::1]:7', 'amqp://u:p%40@[::1]:7?heartbeat=2']],
    ['amqp://a?heartbeat=30', ['a:5672', 'amqp://a?heartbeat=30']],
    ['amqp://u:5%@a/100%', ['a:5672', 'amqp://u:5%@a/100%?heartbeat=2']],
    [{ hostname: 'a' }, ['a:5672', { hostname: 'a', heartbeat: 2 }]],
    [
      { hostname: 'a', protocol: 'amqps', heartbeat: 9 },
      ['a:5671', { hostname: 'a', protocol: 'amqps', heartbeat: 9 }],
    ],
  ])('%j is handed to the library with a heartbeat', async (target, expected) => {
    expect(await asked(target)).toEqual(expected)
  })

  test('without the library the error names the command that installs it', async () => {
    jest.resetModules()
    jest.doMock('amqplib', () => {
      const message = "Cannot find module 'amqplib'"
      throw Object.assign(new Error(message), { code: 'MODULE_NOT_FOUND' })
    })
    const driver = rabbitmqDriver(URL)
    await expect(driver.connect()).rejects.toThrow('npm install amqplib')
    await driver.close()
  })
})

test.each([undefined, null, {}, 'amqp://a'])(
  'a function that gives %p is told so',
  async (made) => {
    const driver = rabbitmqDriver(async () => made as RabbitConnection)
    await expect(driver.connect()).rejects.toMatchObject({
      code: 'ERR_UNIFROST_OPTIONS',
      message: expect.stringContaining('The function given to rabbitmqDriver gave'),
    })
    await driver.close()
  },
)

test('a broker that takes connections and says nothing costs the connect timeout', async () => {
  const sockets = new Set<{ destroy(): void }>()
  const server = createServer((socket) => void sockets.add(socket))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const driver = rabbitmqDriver(`amqp://127.0.0.1:${port}`, { connectTimeout: 100 })
  const subscribing = driver.subscribe('x', recordingSink())
  await expect(subscribing).rejects.toThrow(`127.0.0.1:${port} (no answer within 100 ms)`)
  await driver.close()
  for (const socket of sockets) socket.destroy()
  await new Promise((resolve) => server.close(resolve))
})

test('patterns that are gone match no more, and leave those they share words with', () => {
  const routes = routesFor<string>('topic')
  const match = (routingKey: string) => {
    const message = { content: Buffer.alloc(0), fields: { exchange: 'x', routingKey } }
    return [...routes.match({ ...message, properties: {} })].sort()
  }
  for (const pattern of ['a', 'a.b', 'a.*', 'a.#', '#']) routes.add(pattern, pattern)
  expect(match('a.b')).toEqual(['#', 'a.#', 'a.*', 'a.b'])
  routes.delete('a.b')
  routes.delete('a.b.c')
  expect(match('a.b')).toEqual(['#', 'a.#', 'a.*'])
  routes.delete('a.#')
  routes.delete('#')
  expect([match('a'), match('a.b'), match('b')]).toEqual([['a'], ['a.*'], []])
})

test('a pattern made to be slow is not', () => {
  const routes = routesFor<string>('topic')
  routes.add(`${'#.a.'.repeat(50)}b`, 'slow')
  const routingKey = 'a.'.repeat(120)
  const from = performance.now()
  const message = { content: Buffer.alloc(0), fields: { exchange: 'x', routingKey } }
  expect([...routes.match({ ...message, properties: {} })]).toEqual([])
  expect(performance.now() - from).toBeLessThan(1_000)
})

test('a connection that a function gives too late is closed', async () => {
  const close = jest.fn(async () => undefined)
  const late = Object.assign(new EventEmitter(), { createChannel: jest.fn(), close })
  let give: (connection: RabbitConnection) => void = () => undefined
  const giving = new Promise<RabbitConnection>((resolve) => (give = resolve))
  const driver = rabbitmqDriver(() => giving, { connectTimeout: 50 })
  await expect(driver.connect()).rejects.toThrow('no answer within 50 ms')
  give(late)
  await driver.close()
  expect(close).toHaveBeenCalled()
  expect(late.createChannel).not.toHaveBeenCalled()
})
