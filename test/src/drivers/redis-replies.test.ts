import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { outlook } from '../../../src/brokers/redis/replies.js'
import { redisDriver } from '../../../src/drivers/redis.js'
import { redisStreamsDriver } from '../../../src/drivers/redis-streams.js'
import { recordingSink } from '../../../src/testing/index.js'

test.each([
  ['final', 'NOAUTH Authentication required.'],
  ['final', 'WRONGPASS invalid username-password pair or user is disabled.'],
  ['final', 'ERR invalid password'],
  ['final', 'ERR AUTH <password> called without any password configured for the default user.'],
  ['final', "NOPERM this user has no permissions to access the 'x' channel"],
  ['final', 'WRONGTYPE Operation against a key holding the wrong kind of value'],
  ['final', 'MOVED 3999 127.0.0.1:6381'],
  ['final', "ERR unknown command 'XREAD', with args beginning with:"],
  ['final', 'ERR DB index is out of range'],
  ['transient', 'BUSY Redis is busy running a script.'],
  ['transient', 'LOADING Redis is loading the dataset in memory'],
  ['transient', 'MASTERDOWN Link with MASTER is down'],
  ['transient', 'TRYAGAIN Multiple keys request during rehashing of slot'],
  ['transient', 'CLUSTERDOWN The cluster is down'],
  ['transient', "READONLY You can't write against a read only replica."],
  [
    'transient',
    'ERR Error running script (call to f_0): @user_script:4: @user_script: 4: -READONLY You ' +
      "can't write against a read only replica.",
  ],
  ['transient', 'UNBLOCKED force unblock from blocking operation, instance state changed'],
  ['transient', 'ERR max number of clients reached'],
  ['transient', 'connect ECONNREFUSED 127.0.0.1:6379'],
  ['transient', 'Socket closed unexpectedly'],
  ['unknown', 'NEWCODE something that nobody has heard of'],
  ['unknown', 'ERR something that nobody has heard of'],
])('%s: %s', (expected, message) => {
  expect(outlook(new Error(message))).toBe(expected)
})

describe('a server that answers as the test says', () => {
  let server: Server
  const sockets = new Set<Socket>()
  let answer: (command: string[], socket: Socket) => string = () => '+OK\r\n'
  let greeting: string | undefined
  let url: string
  const toClose: { close(): Promise<void> }[] = []

  beforeEach(async () => {
    greeting = undefined
    server = createServer((socket) => {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
      socket.on('error', () => undefined)
      if (greeting !== undefined) return socket.end(greeting)
      socket.on('data', (data) => {
        for (const command of commandsIn(data.toString())) socket.write(answer(command, socket))
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    url = `redis://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterEach(async () => {
    for (const it of toClose.splice(0)) await it.close()
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  const made = <T extends { close(): Promise<void> }>(driver: T): T => {
    toClose.push(driver)
    return driver
  }

  test('pub/sub: words that nobody knows are tried again, and stand in the gap', async () => {
    let strange = 0
    answer = ([name, channel = '']) => {
      if (name === 'PING') return '+PONG\r\n'
      if (name !== 'SUBSCRIBE') return '+OK\r\n'
      if (strange-- > 0) return '-NEWCODE not today\r\n'
      return `*3\r\n$9\r\nsubscribe\r\n${bulk(channel)}:1\r\n`
    }
    const sink = recordingSink()
    await made(redisDriver(url)).subscribe('x', sink)
    strange = 1
    for (const socket of sockets) socket.destroy()
    await sink.until('a gap', () => sink.count('gap') === 1)
    expect(sink.entries).toEqual([{ type: 'gap', reason: expect.stringContaining('NEWCODE not') }])
  })

  test('streams: words that nobody knows are tried again, and told once', async () => {
    let strange = 0
    let isRead = false
    answer = ([name, , , block]) => {
      if (name === 'PING') return '+PONG\r\n'
      if (name === 'CLIENT') return ':7\r\n'
      if (name === 'XINFO') return '-ERR no such key\r\n'
      if (name !== 'XREAD') return '+OK\r\n'
      if (block !== 'BLOCK') return '*-1\r\n'
      if (strange-- > 0) return '-NEWCODE not today\r\n'
      if (isRead) return ''
      isRead = true
      return `*1\r\n*2\r\n${bulk('x')}*1\r\n*2\r\n${bulk('1-1')}*2\r\n${bulk('data')}${bulk('1')}`
    }
    strange = 3
    const sink = recordingSink()
    await made(redisStreamsDriver(url)).subscribe('x', sink)
    await sink.received(1, 10_000)
    expect(sink.entries.filter(({ type }) => type === 'fail')).toEqual([])
    const told = sink.entries.filter((it) => it.type === 'gap' && it.reason.includes('NEWCODE'))
    expect(told).toHaveLength(1)
  })

  test('one that hangs up is not called absent, and one that is no Redis is called so', async () => {
    greeting = ''
    await expect(made(redisDriver(url)).connect()).rejects.toThrow(/hangs up.*for TLS \(rediss:/)
    greeting = 'HTTP/1.1 400 Bad Request\r\n\r\n'
    await expect(made(redisDriver(url)).connect()).rejects.toThrow(/is no Redis/)
  })
})

/** The commands in a chunk: lists of strings, of which the first is in capitals. */
function commandsIn(text: string): string[][] {
  return text
    .split(/^\*\d+\r\n/m)
    .filter((part) => part !== '')
    .map((part) => part.split('\r\n').filter((_, index) => index % 2 === 1))
    .map(([name = '', ...rest]) => [name.toUpperCase(), ...rest])
}

function bulk(text: string): string {
  return `$${text.length}\r\n${text}\r\n`
}
