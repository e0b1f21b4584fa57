import { writeFileSync, statSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { hubDirectory, hubDriver, startHub } from '../../../src/hub/index.js'
import { HubConnection } from '../../../src/hub/connection.js'
import { memoryDriver } from '../../../src/drivers/memory.js'
import { recordingSink } from '../../../src/testing/index.js'
import { localHub, socketFolder } from './in-process.js'

describe('a hub', () => {
  const folder = socketFolder()
  const toClose: { close(): Promise<void> }[] = []
  let count = 0
  const newAddress = () => folder.path(`hub-${++count}`)

  afterEach(async () => {
    for (const it of toClose.splice(0).reverse()) await it.close()
  })
  afterAll(() => folder.remove())

  function keep<T extends { close(): Promise<void> }>(it: T): T {
    toClose.push(it)
    return it
  }

  test.each([
    ['', 'it got ""'],
    ['localhost:4000', 'speaks no TCP'],
    ['tcp://localhost:4000', 'speaks no TCP'],
    ['x'.repeat(200), 'at most'],
    [4000, 'it got 4000'],
    [undefined, 'it got undefined'],
  ])('says what an address is, for %p', async (address, words) => {
    const one = address as string
    expect(() => hubDriver(one)).toThrow(words)
    expect(() => hubDirectory(one)).toThrow(words)
    await expect(startHub({ address: one, driver: memoryDriver() })).rejects.toThrow(/takes/)
  })

  test('is not started where another one listens, and leaves that one alone', async () => {
    const address = newAddress()
    keep((await localHub(address)).hub)
    const again = startHub({ address, driver: memoryDriver() })
    await expect(again).rejects.toThrow('Another process listens at')
    await keep(hubDriver(address)).connect()
  })

  test('takes the place of one that died, and of nothing else', async () => {
    const address = newAddress()
    const script = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`
    spawnSync(process.execPath, ['-e', script, address])
    expect(statSync(address).isSocket()).toBe(true)
    keep((await localHub(address)).hub)
    const file = newAddress()
    writeFileSync(file, 'not a socket')
    await expect(startHub({ address: file, driver: memoryDriver() })).rejects.toThrow()
    expect(statSync(file).size).toBe(12)
  })

  test('may be used by this user only', async () => {
    const address = newAddress()
    keep((await localHub(address)).hub)
    expect(statSync(address).mode & 0o777).toBe(0o600)
  })

  test('says where it can not listen, and what to do', async () => {
    const address = folder.path('no/such/folder/hub')
    const starting = startHub({ address, driver: memoryDriver() })
    await expect(starting).rejects.toThrow(/can't listen at .*Give it a path in a folder/)
  })

  test('that is not there: the driver says so, and tries again when asked', async () => {
    const address = newAddress()
    const driver = keep(hubDriver(address))
    await expect(driver.subscribe('a', recordingSink())).rejects.toThrow(
      /could not be reached at .*Start the hub, or correct the address\./,
    )
    const { broker } = await localHub(address).then(({ hub, broker }) => ({
      hub: keep(hub),
      broker,
    }))
    const sink = recordingSink()
    await driver.subscribe('a', sink)
    broker.publish('a', 'x')
    await sink.received(1)
  })

  test('refuses a worker with another encoding, and says which it has', async () => {
    const address = newAddress()
    keep((await localHub(address)).hub)
    const driver = keep(hubDriver(address, { encoding: 'base64' }))
    await expect(driver.connect()).rejects.toThrow("Give hubDriver encoding: 'utf8'.")
  })

  test('refuses a worker of another version', async () => {
    const address = newAddress()
    keep((await localHub(address)).hub)
    const connection = await HubConnection.open(address, {}, new AbortController().signal)
    keep({ close: async () => connection.end() })
    for (const name of ['log', 'directory']) {
      await expect(connection.ask(name, { version: 0 })).rejects.toThrow(/Run the same version/)
    }
  })

  test('takes a name that any broker has a meaning for as no plain topic', () => {
    const driver = keep(hubDriver(newAddress()))
    const kinds = (...names: string[]) => [...new Set(names.map((name) => driver.kindOf?.(name)))]
    expect(kinds('a.*', 'a.>', 'a.#', 'a?', '[ab]', '%')).toEqual(['wildcard'])
    expect(kinds('$SYS', 'a.$b', '_INBOX.x', '__consumer_offsets', 'amq.direct')).toEqual([
      'internal',
    ])
    expect(kinds('news', 'users.alice', 'a-b:c/d@e', 'grüße')).toEqual(['plain'])
    const own = keep(hubDriver(newAddress(), { kindOf: () => 'plain' }))
    expect(own.kindOf?.('a.*')).toBe('plain')
  })

  test('whose driver can not publish says so', async () => {
    const address = newAddress()
    const { subscribe, close } = memoryDriver()
    keep(await startHub({ address, driver: { subscribe, close } }))
    const worker = keep(hubDriver(address))
    await expect(worker.publish('a', 'x')).rejects.toThrow('Publish on its broker.')
  })

  test('publishes for a worker, text and bytes alike', async () => {
    const address = newAddress()
    keep((await localHub(address)).hub)
    const worker = keep(hubDriver(address))
    const sink = recordingSink()
    await worker.subscribe('a', sink)
    expect(await worker.publish('a', 'tëxt')).toBe(true)
    expect(await worker.publish('a', new Uint8Array([98, 121]))).toBe(true)
    await sink.received(2)
    expect(sink.texts()).toEqual(['tëxt', 'by'])
  })
})
