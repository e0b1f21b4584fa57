import type { Directory, Driver } from '../index.js'
import { memoryDriver } from '../index.js'
import type { BrokerName } from './config/brokers.js'
import type { Config } from './config/schema.js'

type Sections = { readonly [Name in BrokerName]: NonNullable<Config['broker'][Name]> }

type Makers = { readonly [Name in BrokerName]: (section: Sections[Name]) => Promise<Driver> }

/** Makes the driver of a section. Only the one that is asked for is loaded. */
const MAKERS: Makers = {
  memory: async () => memoryDriver(),
  async redis({ url, library }) {
    const { redisDriver } = await import('../drivers/redis.js')
    return redisDriver(url, { ...(library && { library }) })
  },
  async 'redis-streams'({ url, library, field, stream, topicField }) {
    const { redisStreamsDriver } = await import('../drivers/redis-streams.js')
    const chosen = { field, ...(library && { library }) }
    if (stream === undefined) return redisStreamsDriver(url, chosen)
    return redisStreamsDriver(url, {
      ...chosen,
      sources: [stream],
      route: ({ fields }) => fields[topicField]?.toString(),
      entry: (topic, payload) => ({ stream, fields: { [topicField]: topic, [field]: payload } }),
    })
  },
  async nats(section) {
    const { natsDriver } = await import('../drivers/nats.js')
    return natsDriver(natsTarget(section))
  },
  async jetstream({ stream, subjects, domain, ...section }) {
    const { jetstreamDriver } = await import('../drivers/jetstream.js')
    return jetstreamDriver(natsTarget(section), {
      stream,
      ...(subjects && { create: { subjects } }),
      ...(domain !== undefined && { domain }),
    })
  },
  async rabbitmq({ url, exchange, exchangeType }) {
    const { rabbitmqDriver } = await import('../drivers/rabbitmq.js')
    return rabbitmqDriver(url, { exchange, exchangeType })
  },
  async kafka({ brokers }) {
    const { kafkaDriver } = await import('../drivers/kafka.js')
    return kafkaDriver({ brokers })
  },
  async postgres({ url }) {
    const { postgresDriver } = await import('../drivers/postgres.js')
    return postgresDriver(url)
  },
  async 'google-pubsub'({ projectId }) {
    const { googlePubSubDriver } = await import('../drivers/google-pubsub.js')
    return googlePubSubDriver({ projectId })
  },
  async sqs({ region, endpoint }) {
    const { sqsDriver } = await import('../drivers/sqs.js')
    return sqsDriver({ region, ...(endpoint !== undefined && { endpoint }) })
  },
  async 'azure-service-bus'({ connectionString }) {
    const { azureServiceBusDriver } = await import('../drivers/azure-service-bus.js')
    return azureServiceBusDriver(connectionString)
  },
}

interface NatsSection {
  readonly servers: string[]
  readonly user?: string | undefined
  readonly password?: string | undefined
  readonly token?: string | undefined
}

function natsTarget({ servers, user, password, token }: NatsSection) {
  return {
    servers,
    ...(user !== undefined && { user }),
    ...(password !== undefined && { pass: password }),
    ...(token !== undefined && { token }),
  }
}

/** The name of the broker's section. */
export function brokerOf({ broker }: Config): BrokerName {
  return (Object.keys(broker)[0] ?? 'memory') as BrokerName
}

/** The driver of the broker that a configuration names. It connects by itself. */
export async function driverFor(config: Config): Promise<Driver> {
  const name = brokerOf(config)
  const make = MAKERS[name] as (section: unknown) => Promise<Driver>
  return make(config.broker[name] ?? {})
}

/** Where servers share their clients, if a configuration says so. */
export async function directoryFor({ directory, broker }: Config): Promise<Directory | undefined> {
  if (directory?.redis !== undefined) {
    const { redisDirectory } = await import('../directories/redis.js')
    const { url, prefix } = directory.redis
    return redisDirectory(url, { ...(prefix !== undefined && { prefix }) })
  }
  if (directory?.nats === undefined) return undefined
  const { natsDirectory } = await import('../directories/nats.js')
  const { servers, bucket, replicas } = directory.nats
  const section = broker.jetstream ?? broker.nats
  const target = servers === undefined ? natsTarget(section!) : { servers }
  return natsDirectory(target, { bucket, replicas })
}
