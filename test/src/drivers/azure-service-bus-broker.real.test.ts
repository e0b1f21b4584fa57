/** @needs an AMQP 1.0 peer of the tests, which stands in for Azure Service Bus */
import { azureServiceBusDriver } from '../../../src/drivers/azure-service-bus.js'
import type {
  AzureServiceBusDriver,
  AzureServiceBusDriverOptions,
} from '../../../src/drivers/azure-service-bus.js'
import { OptionsError } from '../../../src/errors.js'
import { recordingSink, until } from '../../../src/testing/index.js'
import { checkNoSilentLoss } from '../../../src/testing/load.js'
import { openEvents } from '../../support/event-stream.js'
import { startScript } from '../../support/script.js'
import { cutUnderLoad } from './bursts.js'
import { QUICK, ServiceBusFixture } from './azure-service-bus-harness.js'

describe('azureServiceBusDriver on a stand-in', () => {
  const fixture = new ServiceBusFixture()
  const toClose: AzureServiceBusDriver[] = []

  beforeAll(() => fixture.start())
  afterEach(async () => {
    for (const driver of toClose.splice(0)) await driver.close()
  })
  afterAll(() => fixture.stop())

  function made(options: AzureServiceBusDriverOptions = {}, key?: string) {
    const driver = azureServiceBusDriver(fixture.config(key), { ...QUICK, ...options })
    toClose.push(driver)
    return driver
  }
  const publish = (topic: string, text: string, properties = {}) =>
    fixture.peer.publish(topic, Buffer.from(text), properties)

  test('what is no connection string is refused without being shown', () => {
    expect(() => azureServiceBusDriver('secret')).toThrow(OptionsError)
    expect(() => azureServiceBusDriver('secret')).not.toThrow(/secret/)
    expect(() => made({ prefix: 'a b' })).toThrow(/prefix takes .*got "a b"/)
  })

  test('a topic is read from what address gives, and payload may take properties along', async () => {
    const sink = recordingSink()
    const payload: AzureServiceBusDriverOptions['payload'] = ({ body, applicationProperties }) =>
      `${String(body)} ${String(applicationProperties?.['shop'])}`
    await made({ address: (topic) => `app/${topic}`, payload }).subscribe('orders', sink)
    await publish('app/orders', 'x', { shop: '7' })
    await sink.received(1)
    expect(sink.texts()).toEqual(['x 7'])
  })

  test('10,000 topics on one of the broker are one subscription', async () => {
    const driver = made({
      sources: ['users'],
      route: ({ applicationProperties }) => String(applicationProperties?.['user']),
    })
    const sinks = Array.from({ length: 10_000 }, () => recordingSink())
    await Promise.all(sinks.map((sink, index) => driver.subscribe(`user${index}`, sink)))
    expect((await fixture.peer.state()).subscriptions).toHaveLength(1)
    await publish('users', 'x', { user: 'user9999' })
    await sinks[9_999]?.received(1)
    expect(sinks.filter((sink) => sink.entries.length > 0)).toHaveLength(1)
    await driver.close()
    const gone = async () => (await fixture.peer.state()).subscriptions.length === 0
    await until('nothing is left', gone)
  })

  test('our subscription deleted under us is made anew with a gap, a topic is the end', async () => {
    const [lost, deleted, other] = [recordingSink(), recordingSink(), recordingSink()]
    const driver = made()
    await driver.subscribe('lost', lost)
    await driver.subscribe('deleted', deleted)
    await driver.subscribe('other', other)
    const { subscriptions } = await fixture.peer.state()
    await fixture.peer.delete(subscriptions.find((path) => path.startsWith('lost/')) as string)
    await lost.until('a gap', () => lost.count('gap') === 1)
    await publish('lost', 'after')
    await lost.received(1)
    await fixture.peer.delete('deleted')
    await deleted.until('fail', () => deleted.count('fail') === 1)
    await publish('other', 'x')
    await other.received(1)
    expect(other.entries).toHaveLength(1)
  })

  test('a subscription that is made late, when its driver was closed, is deleted', async () => {
    const { client, admin } = fixture.clients()
    const [create, remove] = [
      admin.createSubscription.bind(admin),
      admin.deleteSubscription.bind(admin),
    ]
    let sent: () => void = () => undefined
    const isSent = new Promise<void>((resolve) => (sent = resolve))
    let asked: () => void = () => undefined
    const isAsked = new Promise<void>((resolve) => (asked = resolve))
    let made: Promise<unknown> | undefined
    admin.createSubscription = (topic, name, options) => {
      // Past the driver, which can't take back what is on its way.
      made = isAsked.then(() => create(topic, name))
      sent()
      return new Promise((_, reject) => {
        options?.abortSignal?.addEventListener('abort', () => reject(new Error('It was aborted.')))
      })
    }
    admin.deleteSubscription = (...args) => remove(...args).finally(asked)
    const driver = azureServiceBusDriver({ client, admin }, QUICK)
    try {
      const refused = expect(driver.subscribe('late', recordingSink())).rejects.toThrow()
      await isSent
      await driver.close()
      await refused
      await made
      expect((await fixture.peer.state()).subscriptions).toEqual([])
    } finally {
      await client.close()
    }
  })

  test('a link cut again and again at 1,000 messages a second: all told, in order, once', async () => {
    const sink = recordingSink()
    await made().subscribe('load', sink)
    const confirmed = await cutUnderLoad(
      sink,
      (payloads) => fixture.peer.publishAll('load', payloads),
      () => fixture.cut(),
    )
    checkNoSilentLoss('load', sink.entries, confirmed)
    expect(sink.count('gap')).toBeGreaterThan(0)
  })

  test('a busy process takes no living link for a dead one', async () => {
    const sink = recordingSink()
    const { pingInterval, pingTimeout } = QUICK
    await made().subscribe('busy', sink)
    for (let round = 0; round < 2; round++) {
      let over = false
      // In the turn in which the next probe is due, before it can be sent.
      setTimeout(() => {
        const end = performance.now() + pingTimeout + 50
        while (performance.now() < end);
        over = true
      }, pingInterval)
      await until('this process to have been busy', () => over)
      await publish('busy', String(round))
      await sink.received(round + 1)
    }
    expect(sink.count('gap')).toBe(0)
  })

  test('a wrong key and a lack of permission are told in the words of the broker', async () => {
    const wrong = made({}, 'wrong')
    await expect(wrong.connect()).rejects.toThrow(/InvalidSignature.*Check the key/s)
    await expect(wrong.subscribe('x', recordingSink())).rejects.toThrow(/Check the key/)
    await made().connect()
    const denied = made().subscribe('denied.x', recordingSink())
    await expect(denied).rejects.toThrow(/Manage on denied.x.*Check the key/s)
  })

  test('the example shows what it publishes', async () => {
    const { connectionString, adminConnectionString } = fixture.config()
    const env = { SERVICE_BUS: connectionString, SERVICE_BUS_ADMIN: adminConnectionString }
    const script = await startScript('examples/azure-service-bus.ts', env)
    try {
      const stream = await openEvents(`${script.url}/events?topic=prices`)
      await stream.next('prices', ({ event }) => event === 'prices')
      expect(await script.stop()).toBe(0)
    } finally {
      await script.stop()
    }
  })
})
