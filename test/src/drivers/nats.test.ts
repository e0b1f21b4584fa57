import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { promisify } from 'node:util'
import { connectOptions } from '../../../src/brokers/nats/connection.js'
import { natsDriver } from '../../../src/drivers/nats.js'
import type { NatsConnectOptions, NatsDriverOptions } from '../../../src/drivers/nats.js'
import { recordingSink, until } from '../../../src/testing/index.js'

describe('natsDriver refuses at once', () => {
  test.each([
    ['', 'as the address'],
    ['nats://', 'as the address'],
    ['http://127.0.0.1:4222', 'nats://host:port'],
    ['nats://host:port', 'nats://host:port'],
    ['nats://host:99999', 'nats://host:port'],
    ['nats://a:4222,,nats://b:4222', 'several with commas'],
    [{ servers: [] }, '{ servers }'],
    [{}, '{ servers }'],
    [undefined, '{ servers }'],
    [null, '{ servers }'],
    [42, '{ servers }'],
    [{ servers: [42] }, '{ servers }'],
  ])('%j as an address', (target, part) => {
    const make = () => natsDriver(target as NatsConnectOptions)
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_UNIFROST_OPTIONS' }))
    expect(make).toThrow(part)
  })

  test('and keeps the password of a bad address to itself', () => {
    expect(() => natsDriver('http://ann:s3cret@127.0.0.1')).toThrow(/^(?!.*s3cret)/)
  })

  test.each([
    [{ encoding: 'latin1' }, 'encoding'],
    [{ subscribeTimeout: 0 }, 'subscribeTimeout'],
    [{ subscribeTimeout: NaN }, 'subscribeTimeout'],
    [{ connectTimeout: -1 }, 'connectTimeout'],
    [{ connectTimeout: Infinity }, 'connectTimeout'],
    [{ address: 'orders' }, 'address'],
    [{ connect: 'nats' }, 'connect'],
    [{ adress: () => 'x' }, 'adress'],
  ])('%p as options', (options, name) => {
    const make = () => natsDriver('nats://127.0.0.1', options as NatsDriverOptions)
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_UNIFROST_OPTIONS' }))
    expect(make).toThrow(name)
  })
})

describe('natsDriver by address', () => {
  test.each([
    ['nats://127.0.0.1:4223', { servers: ['127.0.0.1:4223'] }],
    ['localhost', { servers: ['localhost:4222'] }],
    ['nats://a:1, nats://b:2', { servers: ['a:1', 'b:2'] }],
    ['nats://[::1]:4222', { servers: ['[::1]:4222'] }],
    ['nats://ann:p%40ss@a:1', { servers: ['a:1'], user: 'ann', pass: 'p@ss' }],
    ['nats://t0ken@a:1', { servers: ['a:1'], token: 't0ken' }],
    ['tls://a:1', { servers: ['a:1'], tls: {} }],
    [
      { servers: 'nats://a:1', name: 'mine', pingInterval: 7 },
      { servers: ['a:1'], name: 'mine', pingInterval: 7 },
    ],
  ])('%j is taken apart', (target, expected) => {
    expect(connectOptions(target)).toMatchObject(expected)
  })

  test('a silent link is noticed within seconds, and reconnecting never ends', () => {
    expect(connectOptions('nats://a')).toEqual({
      servers: ['a:4222'],
      ignoreAuthErrorAbort: true,
      pingInterval: 1_000,
      maxPingOut: 2,
      maxReconnectAttempts: -1,
    })
  })

  test('without a library the error names the command that installs one', async () => {
    jest.resetModules()
    for (const name of ['@nats-io/transport-node', 'nats']) {
      jest.doMock(name, () => {
        const message = `Cannot find module '${name}'`
        throw Object.assign(new Error(message), { code: 'MODULE_NOT_FOUND' })
      })
    }
    const fresh = await import('../../../src/drivers/nats.js')
    const driver = fresh.natsDriver('nats://127.0.0.1')
    await expect(driver.connect()).rejects.toThrow('npm install @nats-io/transport-node')
    jest.resetModules()
    jest.dontMock('nats')
    jest.dontMock('@nats-io/transport-node')
  })

  describe('of a server that takes connections', () => {
    let server: Server
    let address: string
    const connect = jest.fn()
    const greet = (socket: Socket) =>
      socket
        .on('error', () => undefined)
        .end('INFO {}\r\n')
        .resume()

    beforeEach(async () => {
      connect.mockReset()
      server = createServer()
      await new Promise<void>((resolve) => {
        server.listen(0, '127.0.0.1', resolve)
      })
      address = `127.0.0.1:${(server.address() as AddressInfo).port}`
    })
    afterEach(() => new Promise((resolve) => server.close(resolve)))

    const refusal = async (target: string | NatsConnectOptions) => {
      const driver = natsDriver(target, { connect, connectTimeout: 100 })
      const subscribing = driver.subscribe('x', recordingSink())
      const error = await subscribing.catch((error: unknown) => error)
      await driver.close()
      return (error as Error).message
    }

    test('and says nothing: it costs the time set and no socket', async () => {
      expect(await refusal(address)).toContain(`${address} (no answer within 100 ms)`)
      expect(connect).not.toHaveBeenCalled()
      const open = promisify(server.getConnections.bind(server))
      await until('no connection is open', async () => (await open()) === 0)
    })

    test('and closes them: it is said so', async () => {
      server.on('connection', (socket) => socket.destroy())
      expect(await refusal(address)).toMatch(/closed without a word|ECONNRESET/)
    })

    test('and greets, but never lets the library in: the time set, all the same', async () => {
      server.on('connection', greet)
      connect.mockReturnValue(new Promise(() => undefined))
      expect(await refusal(`127.0.0.1:1,${address}`)).toContain('no answer within 100 ms')
      expect(connect).toHaveBeenCalled()
    })

    test('for TLS first, which greets later: the library is sent there', async () => {
      connect.mockRejectedValue(new Error('certificate has expired'))
      const message = await refusal({ servers: address, tls: { handshakeFirst: true } })
      expect(message).toContain('No TLS connection')
    })

    test('and lets the library in too late: that connection is closed', async () => {
      server.on('connection', greet)
      let letIn: (connection: unknown) => void = () => undefined
      connect.mockReturnValue(new Promise((resolve) => (letIn = resolve)))
      expect(await refusal(address)).toContain('no answer within 100 ms')
      await new Promise((close) => letIn({ close }))
    })
  })

  test('a name that NATS cannot hold never reaches the library', async () => {
    const connect = jest.fn()
    const driver = natsDriver('nats://a:1', { connect, address: (topic) => `all ${topic}` })
    const subscribing = driver.subscribe('x', recordingSink())
    await expect(subscribing).rejects.toMatchObject({
      code: 'ERR_UNIFROST_TOPIC_NAME',
      message: expect.stringContaining('white space'),
    })
    expect(connect).not.toHaveBeenCalled()
  })
})
