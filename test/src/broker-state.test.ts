import { memoryDriver, Streamer } from 'unifrost'
import type { BrokerOutage, BrokerState, Driver } from 'unifrost'
import { Reach } from 'unifrost/driver-kit'
import { azureServiceBusDriver } from 'unifrost/drivers/azure-service-bus'
import { googlePubSubDriver } from 'unifrost/drivers/google-pubsub'
import { jetstreamDriver } from 'unifrost/drivers/jetstream'
import { kafkaDriver } from 'unifrost/drivers/kafka'
import { natsDriver } from 'unifrost/drivers/nats'
import { postgresDriver } from 'unifrost/drivers/postgres'
import { rabbitmqDriver } from 'unifrost/drivers/rabbitmq'
import { redisDriver } from 'unifrost/drivers/redis'
import { redisStreamsDriver } from 'unifrost/drivers/redis-streams'
import { sqsDriver } from 'unifrost/drivers/sqs'

/** A driver whose broker goes and comes as the test says. */
function driverOn(reach: BrokerState): Driver {
  return { ...memoryDriver(), brokerState: reach }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('a broker that is away', () => {
  const lines: [level: string, message: string][] = []
  const line = (level: string) => (_details: unknown, message?: string) => {
    lines.push([level, message ?? ''])
  }
  const logger = {
    debug: line('debug'),
    info: line('info'),
    warn: line('warn'),
    error: line('error'),
  }
  let reach: Reach
  let streamer: Streamer

  beforeEach(() => {
    lines.length = 0
    reach = new Reach()
    streamer = new Streamer(driverOn(reach), { logger })
  })

  afterEach(() => streamer.close())

  test('makes health say so, with since when, until it is back', () => {
    expect(streamer.health()).toEqual({ ok: true, broker: 'up' })
    const before = Date.now()
    reach.lost(new Error('read ECONNRESET'))
    const down = streamer.health()
    expect(down).toEqual({ ok: false, broker: 'down', since: expect.any(Number) })
    expect(down.since).toBeGreaterThanOrEqual(before)
    reach.found()
    expect(streamer.health()).toMatchObject({ ok: true, broker: 'up' })
  })

  test('is told by one event and one line of the log for each change', async () => {
    const events: [string, BrokerOutage][] = []
    streamer.on('brokerDown', (outage) => events.push(['down', outage]))
    streamer.on('brokerUp', (outage) => events.push(['up', outage]))
    reach.found()
    reach.lost(new Error('read ECONNRESET'))
    reach.lost(new Error('connect ECONNREFUSED'))
    reach.found()
    reach.found()
    await turn()
    expect(events.map(([what, { reason }]) => [what, reason])).toEqual([
      ['down', 'read ECONNRESET'],
      ['up', 'read ECONNRESET'],
    ])
    expect(lines.map(([level]) => level)).toEqual(['warn', 'info'])
  })

  test('that was lost before there was a Streamer is told all the same', () => {
    const early = new Reach()
    early.lost(new Error('gone'))
    const late = new Streamer(driverOn(early), { logger })
    expect(late.health()).toMatchObject({ ok: false, broker: 'down' })
    return late.close()
  })

  test('is no news once the Streamer is closed', async () => {
    await streamer.close()
    reach.lost(new Error('closed'))
    expect(lines).toEqual([])
    expect(reach.onChange).toBeUndefined()
  })
})

test('a gap that a driver reports is an event of the Streamer', async () => {
  let gap: (reason: string) => void = () => undefined
  const streamer = new Streamer({
    async subscribe(_topic, sink) {
      gap = (reason) => sink.gap(reason)
      return { close: async () => undefined }
    },
    close: async () => undefined,
  })
  const told: [string, string][] = []
  streamer.on('gap', (topic, reason) => told.push([topic, reason]))
  const { id } = await streamer.newClient()
  await streamer.subscribe(id, 'news')
  gap('The link was lost.')
  await turn()
  expect(told).toEqual([['news', 'The link was lost.']])
  await streamer.close()
})

test('a driver given to two Streamers would silence the first: the second is refused', async () => {
  const driver = memoryDriver()
  const first = new Streamer(driver)
  expect(() => new Streamer(driver)).toThrow('This driver belongs to another Streamer already.')
  expect(() => new Streamer(driver)).toThrow(
    expect.objectContaining({ code: 'ERR_UNIFROST_OPTIONS' }),
  )
  await first.close()
})

test.each<[string, () => Driver]>([
  ['azureServiceBusDriver', () => azureServiceBusDriver(AZURE)],
  ['googlePubSubDriver', () => googlePubSubDriver({ projectId: 'p' })],
  ['jetstreamDriver', () => jetstreamDriver('nats://127.0.0.1:1', { stream: 's' })],
  ['kafkaDriver', () => kafkaDriver('127.0.0.1:1')],
  ['natsDriver', () => natsDriver('nats://127.0.0.1:1')],
  ['postgresDriver', () => postgresDriver('postgres://127.0.0.1:1')],
  ['rabbitmqDriver', () => rabbitmqDriver('amqp://127.0.0.1:1')],
  ['redisDriver', () => redisDriver('redis://127.0.0.1:1')],
  ['redisStreamsDriver', () => redisStreamsDriver('redis://127.0.0.1:1')],
  ['sqsDriver', () => sqsDriver({ region: 'r' })],
])('%s says whether its broker can be reached', async (_name, make) => {
  const driver = make()
  expect(driver.brokerState).toMatchObject({ down: undefined })
  await driver.close()
})

const AZURE = 'Endpoint=sb://a.example/;SharedAccessKeyName=k;SharedAccessKey=c2VjcmV0'
