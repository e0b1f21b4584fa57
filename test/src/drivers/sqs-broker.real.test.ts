/** @needs fauxqs, which stands in for SNS and SQS and may be stopped and started */
import {
  DeleteTopicCommand,
  SNSClient,
  SubscribeCommand,
  UnsubscribeCommand,
} from '@aws-sdk/client-sns'
import {
  CreateQueueCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  ListQueueTagsCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs'
import { sqsDriver } from '../../../src/drivers/sqs.js'
import type { SqsDriver, SqsDriverOptions } from '../../../src/drivers/sqs.js'
import { recordingSink, until } from '../../../src/testing/index.js'
import { ACCOUNT, DENIED, REGION, startSqs, WRONG } from '../../brokers/sqs.js'
import { openEvents } from '../../support/event-stream.js'
import { startScript } from '../../support/script.js'
import { QUICK, SqsFixture } from './sqs-harness.js'
import { eventually } from '../../support/until.js'

describe('sqsDriver on fauxqs', () => {
  const fixture = new SqsFixture()
  const toClose: { close(): Promise<void> }[] = []

  beforeAll(() => fixture.start())
  afterEach(async () => {
    for (const it of toClose.splice(0).reverse()) await it.close()
  })
  afterAll(() => fixture.stop())

  function made(options: SqsDriverOptions = {}, config = {}): SqsDriver {
    const driver = sqsDriver({ ...fixture.config, ...config }, { ...QUICK, ...options })
    toClose.push(driver)
    return driver
  }

  const gone = () => until('nothing is left', async () => (await fixture.leftovers()) === 0)

  test('a topic is read from the ARN that address gives, and its text is sent as it is', async () => {
    const arn = await fixture.topic('address')
    const sink = recordingSink()
    await made({ address: () => arn }).subscribe('orders', sink)
    for (const text of ['{"a": 1}', 'line\r\nbreak', '😀 ✓']) await fixture.publishText(arn, text)
    await sink.received(3)
    expect(sink.texts()).toEqual(['{"a": 1}', 'line\r\nbreak', '😀 ✓'])
  })

  test('payload may take attributes along', async () => {
    const arn = await fixture.topic('payload')
    const sink = recordingSink()
    const payload: SqsDriverOptions['payload'] = ({ body, attributes, source }) =>
      JSON.stringify({ body, attributes, source })
    await made({ payload }).subscribe(arn, sink)
    await fixture.publishText(arn, 'x', { shop: '7' })
    await sink.received(1)
    expect(JSON.parse(sink.texts()[0] as string)).toEqual({
      body: 'x',
      attributes: { shop: '7' },
      source: arn,
    })
  })

  test('10,000 topics on one topic of SNS are one queue and one subscription', async () => {
    const arn = await fixture.topic('route')
    const driver = made({ sources: [arn], route: ({ attributes }) => attributes['user'] })
    const sinks = Array.from({ length: 10_000 }, () => recordingSink())
    await Promise.all(sinks.map((sink, index) => driver.subscribe(`user${index}`, sink)))
    await eventually(async () => expect(await fixture.queues()).toHaveLength(1))
    await eventually(async () => expect(await fixture.subscriptions()).toHaveLength(1))
    await fixture.publishText(arn, 'for nobody', { user: 'nobody' })
    await fixture.publishText(arn, 'for 9,999', { user: 'user9999' })
    await sinks[9_999]?.received(1)
    expect(sinks.filter((sink) => sink.entries.length > 0)).toHaveLength(1)
    await driver.close()
    await gone()
  })

  test('a FIFO topic is read by a FIFO queue, in order', async () => {
    const arn = await fixture.topic('fifo', '.fifo')
    const driver = made()
    const sink = recordingSink()
    await driver.subscribe(arn, sink)
    const sent = Array.from({ length: 30 }, (_, index) => String(index))
    for (const text of sent) await fixture.publishText(arn, text)
    await sink.received(sent.length, 20_000)
    expect(sink.texts()).toEqual(sent)
    expect((await fixture.queues())[0]).toMatch(/\.fifo$/)
    await driver.close()
    await gone()
  })

  test('the servers that read a queue share its messages, and leave the queue alone', async () => {
    // The stand-in knows a queue by the address at which it was made.
    const client = new SQSClient(fixture.config)
    toClose.push({ close: async () => client.destroy() })
    const { QueueUrl } = await client.send(new CreateQueueCommand({ QueueName: 'shared' }))
    const url = QueueUrl as string
    const sinks = [recordingSink(), recordingSink()]
    for (const sink of sinks) await made().subscribe(url, sink)
    const send = (MessageBody: string) =>
      client.send(new SendMessageCommand({ QueueUrl: url, MessageBody }))
    for (let index = 0; index < 40; index++) await send(String(index))
    const got = () => sinks.flatMap((sink) => sink.texts())
    await until('all messages', () => got().length === 40)
    expect(new Set(got()).size).toBe(40)
    fixture.link.cut()
    await until('a message after the cut', async () => {
      await send('after')
      return got().includes('after')
    })
    expect(sinks.map((sink) => sink.count('fail'))).toEqual([0, 0])
    await client.send(new DeleteQueueCommand({ QueueUrl: url }))
    for (const sink of sinks) await sink.until('fail', () => sink.count('fail') === 1)
    const again = made().subscribe(url, recordingSink())
    await expect(again).rejects.toThrow(/QueueDoesNotExist.*Create it/i)
  })

  test('our queue deleted under us is made anew, with a gap', async () => {
    const arn = await fixture.topic('deleted')
    const sink = recordingSink()
    await made().subscribe(arn, sink)
    const [url] = await fixture.queues()
    await fixture.sqs.send(new DeleteQueueCommand({ QueueUrl: url }))
    await sink.until('a gap', () => sink.count('gap') === 1)
    await fixture.publishText(arn, 'after')
    await sink.received(1)
    await eventually(async () => expect(await fixture.queues()).not.toContain(url))
  })

  test('a subscription deleted under us is made anew with a gap, a topic is the end of it', async () => {
    const [lost, deleted] = [await fixture.topic('unsubscribed'), await fixture.topic('removed')]
    const [sink, over] = [recordingSink(), recordingSink()]
    const driver = made({ heartbeat: 100 })
    await driver.subscribe(lost, sink)
    await driver.subscribe(deleted, over)
    const found = await fixture.subscriptions()
    const SubscriptionArn = found.find((subscription) => subscription.startsWith(lost))
    await fixture.sns.send(new UnsubscribeCommand({ SubscriptionArn }))
    await sink.until('a gap', () => sink.count('gap') === 1)
    await fixture.publishText(lost, 'after')
    await sink.received(1)
    await fixture.sns.send(new DeleteTopicCommand({ TopicArn: deleted }))
    await over.until('fail', () => over.count('fail') === 1)
    expect(sink.count('fail')).toBe(0)
    await driver.close()
    await gone()
  })

  test('a queue that a crashed server left is swept, one that is alive is not', async () => {
    const arn = await fixture.topic('swept')
    const crashed = made({ heartbeat: 2_000_000 })
    await crashed.subscribe(arn, recordingSink())
    const [left] = await fixture.queues()
    const tags = async (QueueUrl: string | undefined) =>
      (await fixture.sqs.send(new ListQueueTagsCommand({ QueueUrl }))).Tags?.['unifrost-alive']
    expect(Number(await tags(left))).toBeGreaterThan(Date.now() / 1_000 - 60)
    const sink = recordingSink()
    // It says so once a second at most, and is dead after four.
    await made({ heartbeat: 300, sweepAfter: 4_000 }).subscribe(arn, sink)
    // The driver that is taken for crashed makes itself a new queue, which is left alone again.
    const swept = async () => !(await fixture.queues()).includes(left as string)
    await until('the sweep', swept, 20_000)
    await fixture.publishText(arn, 'still read')
    await sink.received(1)
    expect(sink.count('gap')).toBe(0)
  })

  test('a probe is told by its attribute, is sent to nobody, and need not be sent', async () => {
    const arn = await fixture.topic('probe')
    const { QueueUrl } = await fixture.sqs.send(new CreateQueueCommand({ QueueName: 'theirs' }))
    const Endpoint = `arn:aws:sqs:${REGION}:${ACCOUNT}:theirs`
    await fixture.sns.send(new SubscribeCommand({ TopicArn: arn, Protocol: 'sqs', Endpoint }))
    const theirs = async () => {
      const { Messages = [] } = await fixture.sqs.send(
        new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10 }),
      )
      return Messages.map(({ Body = '' }) => Body.includes('unifrost-probe'))
    }
    const sinks = [recordingSink(), recordingSink()]
    await made({ probe: false }).subscribe(arn, sinks[0]!)
    expect(await theirs()).toEqual([])
    await made().subscribe(arn, sinks[1]!)
    expect(await theirs()).toContain(true)
    await fixture.publishText(arn, 'x')
    for (const sink of sinks) await sink.received(1)
    expect(sinks.map((sink) => sink.texts())).toEqual([['x'], ['x']])
    await fixture.sqs.send(new DeleteQueueCommand({ QueueUrl }))
  })

  test('what is in our queue and from no topic is dropped', async () => {
    const arn = await fixture.topic('junk')
    const sink = recordingSink()
    await made().subscribe(arn, sink)
    const [QueueUrl] = await fixture.queues()
    for (const MessageBody of ['junk', 'null', '{"Type":"Notification"}', '[]']) {
      await fixture.sqs.send(new SendMessageCommand({ QueueUrl, MessageBody }))
    }
    await fixture.publishText(arn, 'x')
    await sink.received(1)
    expect(sink.entries).toHaveLength(1)
    const empty = async () => {
      const command = new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] })
      const { Attributes } = await fixture.sqs.send(command)
      return Attributes?.['ApproximateNumberOfMessagesNotVisible'] === '0'
    }
    await until('all of it is deleted', empty)
  })

  test('wrong credentials and a lack of permission are told in the words of AWS', async () => {
    const wrong = made({}, { credentials: WRONG })
    await expect(wrong.connect()).rejects.toThrow(/UnrecognizedClient.*Check the credentials/)
    const denied = made().subscribe(`arn:aws:sns:${REGION}:${ACCOUNT}:${DENIED}`, recordingSink())
    await expect(denied).rejects.toThrow(/not authorized to perform: SNS:Subscribe.*Allow it/)
  })

  test('a broker that is started later is found by the next subscribe', async () => {
    const own = await startSqs()
    try {
      await own.process.kill()
      const address = new URL(own.endpoint).host
      const driver = made({}, { endpoint: own.endpoint })
      await expect(driver.connect()).rejects.toThrow(address)
      await own.process.start()
      await driver.connect()
      await driver.close()
    } finally {
      await own.stop()
    }
  })

  test('a link cut again and again under load: no double, no disorder, every loss told', async () => {
    const arn = await fixture.topic('storm')
    const sink = recordingSink()
    await made().subscribe(arn, sink)
    let [last, stopped] = [0, false]
    // A busy broker may drop the publisher's connection too, and then it is not known what has come.
    const publish = (number: number) =>
      fixture.publishText(arn, String(number)).then(
        () => true,
        () => false,
      )
    const publishing = (async () => {
      while (!stopped) await Promise.all([1, 2, 3, 4].map(() => publish(++last)))
    })()
    for (let round = 1; round <= 5; round++) {
      // A cut between two polls costs nothing, and is none to tell.
      fixture.link.cut()
      const cutting = setInterval(() => fixture.link.cut(), 2_000)
      await sink
        .until('a gap', () => sink.count('gap') >= round, 20_000)
        .finally(() => clearInterval(cutting))
    }
    stopped = true
    await publishing
    while (!(await publish(++last)));
    await sink.until('the last one', () => sink.texts().includes(String(last)), 20_000)
    let [before, gap] = [0, false]
    const seen = new Set<number>()
    for (const entry of sink.entries) {
      if (entry.type !== 'message') gap = true
      else {
        const number = Number(entry.payload)
        expect(seen.has(number)).toBe(false)
        seen.add(number)
        // Four are published at once, and have no order among them.
        expect(number).toBeGreaterThan(before - 8)
        if (!gap) expect(number).toBeLessThan(before + 8)
        ;[before, gap] = [Math.max(before, number), false]
      }
    }
  })

  describe('a subscribe that AWS carries out late, when its queue has gone', () => {
    /** Clients whose first subscribe is on its way until a queue has been deleted. */
    function slow() {
      const clients = { sqs: new SQSClient(fixture.config), sns: new SNSClient(fixture.config) }
      toClose.push({ close: async () => Object.values(clients).forEach((it) => it.destroy()) })
      let delivered: () => void = () => undefined
      const sent = new Promise<void>((resolve) => (delivered = resolve))
      let queueGone: () => void = () => undefined
      const late = new Promise<void>((resolve) => (queueGone = resolve))
      let held = false
      clients.sns.middlewareStack.add(
        (next, { commandName }) =>
          async (args) => {
            if (commandName !== 'SubscribeCommand' || held) return next(args)
            held = true
            delivered()
            await late
            // Past the driver, which can't take back what is on its way.
            const output = await fixture.sns.send(new SubscribeCommand(args.input as never))
            return { output, response: {} }
          },
        { step: 'initialize' },
      )
      clients.sqs.middlewareStack.add(
        (next, { commandName }) =>
          async (args) => {
            const answer = await next(args)
            if (commandName === 'DeleteQueueCommand') queueGone()
            return answer
          },
        { step: 'initialize' },
      )
      const driver = sqsDriver(clients, QUICK)
      toClose.push(driver)
      return { driver, sent }
    }

    test('by a driver that was closed', async () => {
      const { driver, sent } = slow()
      const subscribing = driver.subscribe(await fixture.topic('late'), recordingSink())
      const refused = expect(subscribing).rejects.toThrow(/closed/)
      await sent
      await driver.close()
      await refused
      await eventually(async () => expect(await fixture.leftovers()).toBe(0))
    })

    test('by a link that was cut', async () => {
      const { driver, sent } = slow()
      const arn = await fixture.topic('late')
      const sink = recordingSink()
      const subscribing = driver.subscribe(arn, sink)
      await sent
      const [first] = await fixture.queues()
      // A cut between two polls costs nothing.
      await until('a new queue', async () => {
        fixture.link.cut()
        return !(await fixture.queues()).includes(first as string)
      })
      await subscribing
      // The last cut may have broken the new queue as well: then what it had is told as a gap.
      await until(
        'a message',
        async () => {
          await fixture.publishText(arn, 'x')
          return sink.count('message') > 0
        },
        20_000,
      )
      const read = async () =>
        (await fixture.queues()).length === 1 && (await fixture.subscriptions()).length === 1
      await until('one queue and one subscription', read)
      await driver.close()
      await eventually(async () => expect(await fixture.leftovers()).toBe(0))
    })
  })

  test('the example shows what it publishes', async () => {
    const env = { AWS_ENDPOINT: fixture.config.endpoint, AWS_REGION: REGION }
    const credentials = { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' }
    const script = await startScript('examples/sqs.ts', { ...env, ...credentials })
    try {
      const stream = await openEvents(`${script.url}/events?topic=prices`)
      await stream.next('prices', ({ event }) => event === 'prices')
      expect(await script.stop()).toBe(0)
    } finally {
      await script.stop()
    }
    await gone()
  })
})
