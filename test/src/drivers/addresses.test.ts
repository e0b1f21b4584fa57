import fc from 'fast-check'
import { OptionsError } from 'unifrost'
import { azureServiceBusDriver } from 'unifrost/drivers/azure-service-bus'
import { googlePubSubDriver } from 'unifrost/drivers/google-pubsub'
import { jetstreamDriver } from 'unifrost/drivers/jetstream'
import { kafkaDriver } from 'unifrost/drivers/kafka'
import { natsDriver } from 'unifrost/drivers/nats'
import { rabbitmqDriver } from 'unifrost/drivers/rabbitmq'
import { redisDriver } from 'unifrost/drivers/redis'
import { redisStreamsDriver } from 'unifrost/drivers/redis-streams'
import { sqsDriver } from 'unifrost/drivers/sqs'

interface Connectable {
  connect(): Promise<unknown>
  close(): Promise<void>
}

const QUICK = { connectTimeout: 500 }

const drivers: [name: string, scheme: string, make: (target: never) => Connectable][] = [
  ['azureServiceBusDriver', 'Endpoint=sb', (it) => azureServiceBusDriver(it, QUICK)],
  [
    'googlePubSubDriver',
    '',
    (it) => googlePubSubDriver({ projectId: 'p', emulatorHost: it ?? '' }, QUICK),
  ],
  ['jetstreamDriver', 'nats', (it) => jetstreamDriver(it, { ...QUICK, stream: 's' })],
  ['kafkaDriver', 'kafka', (it) => kafkaDriver(it, QUICK)],
  ['natsDriver', 'nats', (it) => natsDriver(it, QUICK)],
  ['rabbitmqDriver', 'amqp', (it) => rabbitmqDriver(it, QUICK)],
  ['redisDriver', 'redis', (it) => redisDriver(it, QUICK)],
  ['redisStreamsDriver', 'redis', (it) => redisStreamsDriver(it, QUICK)],
  ['sqsDriver', 'x', (it) => sqsDriver(it, QUICK)],
]

/** Pieces of an address that are no part of any that works. Nothing listens on port 1. */
const broken = (scheme: string) => {
  const user = fc.constantFrom('', 'user@', 'user:%@', 'a%zz:b%@', 'u:%ff@', ':@', '@', 'u:p@@')
  const host = fc.constantFrom(
    '127.0.0.1:1',
    '127.0.0.1:99999',
    '127.0.0.1:-1',
    '',
    ' ',
    '%',
    '[::',
    '127.0.0.1:x',
  )
  const path = fc.constantFrom('', '/', '/%zz', '/a/b', '?x=%', '#', '\0', '\n')
  const address = fc.tuple(fc.constantFrom(`${scheme}://`, 'http://', '://', ''), user, host, path)
  const other = fc.constantFrom(undefined, null, 5, NaN, true, Symbol('x'), [], Object.freeze({}))
  return fc.oneof({ weight: 5, arbitrary: address.map((parts) => parts.join('')) }, other)
}

// An error of the language, such as a URIError, says that nobody has looked at the address.
test.each(drivers)(
  'a broken address gives %s one clear error, in bounded time',
  async (_name, scheme, make) => {
    const oneError = async (target: unknown) => {
      const from = performance.now()
      const driver = (() => {
        try {
          return make(target as never)
        } catch (error) {
          expect(error).toBeInstanceOf(OptionsError)
          return undefined
        }
      })()
      if (driver === undefined) return
      const error: unknown = await driver.connect().then(
        () => undefined,
        (reason: unknown) => reason,
      )
      await driver.close()
      expect(error).toBeInstanceOf(Error)
      expect((error as Error).name).toMatch(/^(Error|OptionsError)$/)
      expect((error as Error).message).toMatch(/Start it|Give |Correct|correct|Check/)
      expect(performance.now() - from).toBeLessThan(4_000)
    }
    await fc.assert(fc.asyncProperty(broken(scheme), oneError), { numRuns: 25 })
  },
  60_000,
)

test('a connection string without a key is refused at once', () => {
  for (const text of ['Endpoint=sb://a/', 'Endpoint=sb://a/;SharedAccessKeyName=k']) {
    expect(() => azureServiceBusDriver(text)).toThrow('a connection string without a key')
  }
})
