/** @needs Google's Pub/Sub emulator that may be stopped, and Go to build Google's pstest */
import { PubSub } from '@google-cloud/pubsub'
import type { Message } from '@google-cloud/pubsub'
import { setInterval } from 'node:timers/promises'
import { googlePubSubDriver } from '../../../src/drivers/google-pubsub.js'
import type {
  GooglePubSubConfig,
  GooglePubSubDriver,
  GooglePubSubDriverOptions,
} from '../../../src/drivers/google-pubsub.js'
import { recordingSink, until } from '../../../src/testing/index.js'
import { checkNoSilentLoss } from '../../../src/testing/load.js'
import { PROJECT, startPubSub } from '../../brokers/google-pubsub.js'
import { freePort } from '../../brokers/process.js'
import { openEvents } from '../../support/event-stream.js'
import { startScript } from '../../support/script.js'
import { PubSubFixture, QUICK } from './google-pubsub-harness.js'
import { eventually } from '../../support/until.js'

/** Generous: the machine may be busy. */
const BOUND = 30_000

const toClose: { close(): Promise<unknown> }[] = []

function keep<T extends { close(): Promise<unknown> }>(it: T): T {
  toClose.push(it)
  return it
}

afterEach(async () => {
  for (const it of toClose.splice(0).reverse()) await it.close()
})

function made(
  config: PubSub | GooglePubSubConfig,
  options: GooglePubSubDriverOptions = {},
): GooglePubSubDriver {
  return keep(googlePubSubDriver(config, { ...QUICK, ...options }))
}

const settled = (fixture: PubSubFixture) => async () =>
  (await fixture.subscriptions()).length === 0 && fixture.connections === 0

describe('googlePubSubDriver on the server that is there', () => {
  const fixture = new PubSubFixture()
  beforeAll(() => fixture.start())
  afterAll(() => fixture.stop())

  test('a subscription is made as it should be, and deleted on close', async () => {
    const topic = await fixture.createTopic('made')
    const driver = made(fixture.config, { subscriptionPrefix: 'mine', retention: 1_200_000 })
    await driver.subscribe(topic, recordingSink())
    const [all] = await fixture.admin.getSubscriptions()
    const own = all.filter(({ name }) => name.includes(`/mine.${topic}.`))
    expect(own).toHaveLength(1)
    const [metadata] = await own[0]!.getMetadata()
    expect(metadata).toMatchObject({ enableMessageOrdering: true, ackDeadlineSeconds: 10 })
    expect(metadata.messageRetentionDuration).toMatchObject({ seconds: '1200' })
    await driver.close()
    expect(await own[0]!.exists()).toEqual([false])
  })

  test('a topic is read from the name that address gives, by one subscription', async () => {
    const topic = await fixture.createTopic('addressed')
    const address = () => `projects/${PROJECT}/topics/${topic}`
    const driver = made(fixture.config, { address })
    const sinks = [recordingSink(), recordingSink()]
    const subscribing = sinks.map((sink, index) => driver.subscribe(`any name ${index}`, sink))
    const [first] = await Promise.all(subscribing)
    await eventually(async () => expect(await fixture.subscriptions()).toHaveLength(1))
    await fixture.publish(topic, 'for both')
    for (const sink of sinks) await sink.received(1, BOUND)
    await first?.close()
    await fixture.publish(topic, 'for one')
    await sinks[1]?.received(2, BOUND)
    expect(sinks[0]?.texts()).toEqual(['for both'])
  })

  test('payload takes attributes and the ordering key along', async () => {
    const topic = await fixture.createTopic('payload')
    const driver = made(fixture.config, {
      payload: ({ data, attributes, orderingKey }) =>
        `${orderingKey} ${attributes['a']} ${data.toString()}`,
    })
    const sink = recordingSink()
    await driver.subscribe(topic, sink)
    await fixture.publish(topic, 'body', { a: 'b' }, 'key')
    await fixture.publish(topic, 'bare', {}, '')
    await sink.received(2, BOUND)
    expect(sink.texts().sort()).toEqual([' undefined bare', 'key b body'])
  })

  test('twelve thousand topics are fed by one source: one subscription, nothing each', async () => {
    const source = await fixture.createTopic('source')
    const driver = made(fixture.config, {
      sources: [source],
      route: ({ attributes, orderingKey, data }) =>
        attributes['to']?.split(',') ?? (orderingKey || undefined) ?? data.toString(),
    })
    const names = Array.from({ length: 12_000 }, (_, index) => `user ${index}`)
    const sinks = names.map(() => recordingSink())
    await Promise.all(names.map((name, index) => driver.subscribe(name, sinks[index]!)))
    await eventually(async () => expect(await fixture.subscriptions()).toHaveLength(1))
    await eventually(() => expect(fixture.connections).toBe(1))
    await fixture.publish(source, 'by attribute', { to: 'user 7,user 11999,nobody here' })
    await fixture.publish(source, 'by key', {}, 'user 8')
    await fixture.publish(source, 'user 9', {}, '')
    await fixture.publish(source, 'for nobody', {}, '')
    for (const index of [7, 11_999, 8, 9]) await sinks[index]!.received(1, BOUND)
    const got = sinks.map((sink) => sink.texts().join()).join('')
    expect(got).toBe('by attribute' + 'by key' + 'user 9' + 'by attribute')
  })

  test('what Pub/Sub delivers again is handed over once', async () => {
    const topic = await fixture.createTopic('again')
    const deliveries = new Map<string, number>()
    const client = keep(fixture.bring())
    const subscription = client.subscription.bind(client)
    // Each message is refused when it comes for the first time, so that it comes again.
    client.subscription = (...args) => {
      const made = subscription(...args)
      const emit = made.emit.bind(made)
      made.emit = (event: string, message: Message) => {
        if (event === 'message') {
          const times = (deliveries.get(message.id) ?? 0) + 1
          deliveries.set(message.id, times)
          if (times === 1) message.ack = () => message.nack()
        }
        return emit(event, message)
      }
      return made
    }
    const sink = recordingSink()
    await made(client).subscribe(topic, sink)
    const sent = Array.from({ length: 10 }, (_, index) => String(index))
    for (const text of sent) await fixture.publish(topic, text, {}, text)
    const allTwice = () => [...deliveries.values()].filter((times) => times > 1).length === 10
    await until('every message to be delivered again', allTwice, BOUND)
    expect(sink.texts().sort()).toEqual(sent)
  })

  test('a route that throws is a gap for its own topics, and no more than that', async () => {
    const source = await fixture.createTopic('throws')
    const driver = made(fixture.config, {
      sources: [source],
      route({ attributes }) {
        if (attributes['bad']) throw new Error('a route that throws')
        return 'orders'
      },
    })
    const sink = recordingSink()
    await driver.subscribe('orders', sink)
    await fixture.publish(source, 'x', { bad: 'yes' })
    await fixture.publish(source, 'fine')
    await sink.received(1, BOUND)
    expect(sink.entries.map(({ type }) => type)).toEqual(['gap', 'message'])
  })

  test('a topic that is not there is refused, with what creates it', async () => {
    const subscribing = made(fixture.config).subscribe('no-such-topic', recordingSink())
    await expect(subscribing).rejects.toThrow(/gcloud pubsub topics create no-such-topic/)
  })

  test('a subscription deleted under us is made anew, with a gap', async () => {
    const [topic, other] = [await fixture.createTopic('under'), await fixture.createTopic('other')]
    const driver = made(fixture.config)
    const [sink, witness] = [recordingSink(), recordingSink()]
    await driver.subscribe(topic, sink)
    await driver.subscribe(other, witness)
    const [own] = (await fixture.subscriptions()).filter((name) => name.includes(topic))
    await fixture.admin.subscription(own!).delete()
    await sink.until('a gap', () => sink.count('gap') === 1, BOUND)
    await fixture.publish(topic, 'after the gap')
    await sink.received(1, BOUND)
    await fixture.publish(other, 'unharmed')
    await witness.received(1, BOUND)
    expect(witness.entries).toHaveLength(1)
  })

  test('a topic deleted under us fails, and others are unharmed', async () => {
    const [topic, other] = [await fixture.createTopic('gone'), await fixture.createTopic('other')]
    const driver = made(fixture.config)
    const [sink, witness] = [recordingSink(), recordingSink()]
    const subscription = await driver.subscribe(topic, sink)
    await driver.subscribe(other, witness)
    await fixture.admin.topic(topic).delete()
    await sink.until('fail', () => sink.count('fail') === 1, BOUND)
    await subscription.close()
    await fixture.publish(other, 'unharmed')
    await witness.received(1, BOUND)
    expect(witness.entries).toHaveLength(1)
    const left = async () => (await fixture.subscriptions()).length === 1
    await until('the subscription that is left over to be deleted', left, BOUND)
  })

  test('a link cut again and again under a thousand messages a second', async () => {
    const topics = [await fixture.createTopic('storm'), await fixture.createTopic('storm')]
    const driver = made(fixture.config)
    const sinks = topics.map(() => recordingSink())
    await Promise.all(topics.map((topic, index) => driver.subscribe(topic, sinks[index]!)))
    const confirmed: number[] = []
    let last = 0
    const over = new AbortController()
    const publishing = (async () => {
      // Twice 25 messages every 50 ms.
      for await (const now of setInterval(50, Date.now, { signal: over.signal })) {
        expect(now).toBeDefined()
        const batch = Array.from({ length: 25 }, () => ++last)
        await Promise.all(topics.map((topic) => fixture.publishAll(topic, batch.map(String))))
        confirmed.push(...batch)
      }
    })().catch((error: unknown) => {
      if (!over.signal.aborted) throw error
    })
    try {
      for (let round = 0; round < 4; round++) {
        fixture.link.cut()
        const from = last
        for (const sink of sinks) {
          const isNew = () => Number(sink.texts().at(-1) ?? 0) > from
          await sink.until('new messages', isNew, BOUND)
        }
      }
    } finally {
      over.abort()
      await publishing
    }
    for (const [index, sink] of sinks.entries()) {
      await sink.until(`message ${last}`, () => sink.texts().at(-1) === String(last), BOUND)
      checkNoSilentLoss(topics[index]!, sink.entries, confirmed)
      expect(sink.count('gap')).toBeGreaterThan(0)
    }
  })

  test('closing in the middle of all that leaves nothing', async () => {
    const topic = await fixture.createTopic('middle')
    for (let round = 0; round < 3; round++) {
      const driver = made(fixture.config)
      await driver.subscribe(topic, recordingSink())
      fixture.link.cut()
      void driver.subscribe(await fixture.createTopic('late'), recordingSink()).catch(() => null)
      await driver.close()
    }
    await until('nothing of ours is left', settled(fixture), BOUND)
  })

  test('a brought client that its owner closes fails every topic, and later ones', async () => {
    const client = fixture.bring()
    const driver = made(client)
    const sinks = [recordingSink(), recordingSink()]
    const topics = await Promise.all(sinks.map(() => fixture.createTopic('owned')))
    await Promise.all(topics.map((topic, index) => driver.subscribe(topic, sinks[index]!)))
    for (const topic of topics) await fixture.publish(topic, 'x')
    for (const sink of sinks) await sink.received(1, BOUND)
    await client.close()
    for (const sink of sinks) await sink.until('fail', () => sink.count('fail') === 1, BOUND)
    const later = driver.subscribe(topics[0]!, recordingSink())
    await expect(later).rejects.toThrow('has been closed')
    for (const name of await fixture.subscriptions())
      await fixture.admin.subscription(name).delete()
  })

  test('a server that is started later is found by the next subscribe', async () => {
    const port = await freePort()
    const config = { projectId: PROJECT, emulatorHost: `127.0.0.1:${port}` }
    const driver = made(config)
    await expect(driver.subscribe('orders', recordingSink())).rejects.toThrow(`127.0.0.1:${port}`)
    const server = await startPubSub({ port, kind: 'pstest' })
    try {
      await driver.connect()
      await expect(driver.subscribe('orders', recordingSink())).rejects.toThrow('no topic')
      const admin = keep(new PubSub({ projectId: PROJECT, apiEndpoint: `127.0.0.1:${port}` }))
      await admin.createTopic('orders')
      await driver.subscribe('orders', recordingSink())
      await driver.close()
    } finally {
      await server.stop()
    }
  })

  test('the example publishes and shows', async () => {
    const script = await startScript('examples/google-pubsub.ts', {
      PUBSUB_EMULATOR_HOST: fixture.address,
      GOOGLE_CLOUD_PROJECT: PROJECT,
      METADATA_SERVER_DETECTION: 'none',
    })
    try {
      const stream = await openEvents(`${script.url}/events?topic=alice&topic=bob`)
      const event = await stream.next('an order of bob', ({ event }) => event === 'bob')
      expect(event.data).toMatch(/^order \d+ of bob$/)
    } finally {
      expect(await script.stop()).toBe(0)
    }
    await eventually(async () => expect(await fixture.subscriptions()).toEqual([]))
  })
})

describe('googlePubSubDriver on a server as strict as Google', () => {
  const fixture = new PubSubFixture()
  beforeAll(() => fixture.start({ kind: 'pstest', streams: 10 }))
  afterAll(() => fixture.stop())

  test('wrong credentials are named as the reason, and what to do about it', async () => {
    const driver = made({ ...fixture.config, projectId: 'wrong-credentials' })
    await expect(driver.connect()).rejects.toThrow(/invalid authentication credentials.*Set/)
    const subscribing = driver.subscribe('orders', recordingSink())
    await expect(subscribing).rejects.toThrow('GOOGLE_APPLICATION_CREDENTIALS')
  })

  test('a topic without permission is refused with what is missing, others are unharmed', async () => {
    const [denied, good] = [await fixture.createTopic('denied'), await fixture.createTopic('good')]
    const driver = made(fixture.config)
    const sink = recordingSink()
    await driver.subscribe(good, sink)
    for (let attempt = 0; attempt < 2; attempt++) {
      const subscribing = driver.subscribe(denied, recordingSink())
      await expect(subscribing).rejects.toThrow(/not authorized.*attachSubscription/)
    }
    await fixture.publish(good, 'unharmed')
    await sink.received(1, BOUND)
    expect(sink.entries).toHaveLength(1)
    await eventually(async () => expect(await fixture.subscriptions()).toHaveLength(1))
  })

  test('more topics than one connection can stream take more connections', async () => {
    const driver = made(fixture.config, { streamsPerConnection: 8 })
    const topics = await Promise.all(Array.from({ length: 20 }, () => fixture.createTopic('many')))
    const sinks = topics.map(() => recordingSink())
    await Promise.all(topics.map((topic, index) => driver.subscribe(topic, sinks[index]!)))
    for (const topic of topics) await fixture.publish(topic, topic)
    for (const sink of sinks) await sink.received(1, BOUND)
    await eventually(() => expect(fixture.connections).toBe(3))
    await driver.close()
    await until('nothing of ours is left', settled(fixture), BOUND)
  })

  test('more topics than a brought client can stream are refused', async () => {
    const driver = made(keep(fixture.bring()), { streamsPerConnection: 2 })
    const topics = await Promise.all([1, 2, 3].map(() => fixture.createTopic('few')))
    const subscriptions = [
      await driver.subscribe(topics[0]!, recordingSink()),
      await driver.subscribe(topics[1]!, recordingSink()),
    ]
    await expect(driver.subscribe(topics[2]!, recordingSink())).rejects.toThrow('sources and route')
    await subscriptions[0]?.close()
    await driver.subscribe(topics[2]!, recordingSink())
  })

  test('with resume a broken stream goes on: nothing lost, nothing twice, no gap', async () => {
    const topic = await fixture.createTopic('resume')
    const driver = made(fixture.config, { resume: true })
    const sink = recordingSink()
    await driver.subscribe(topic, sink)
    const sent = Array.from({ length: 90 }, (_, index) => String(index))
    for (const [index, text] of sent.entries()) {
      await fixture.publish(topic, text)
      if (index % 30 === 15) fixture.link.cut()
      if (index === 70) fixture.link.stall()
    }
    await sink.received(sent.length, 50_000)
    expect(sink.entries.every(({ type }) => type === 'message')).toBe(true)
    expect(sink.texts()).toEqual(sent)
  })
})
