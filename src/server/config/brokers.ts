import { z } from 'zod'
import { address, matching, oneOf, oneOrMore, text } from './scalars.js'

const nats = {
  servers: oneOrMore(address(['nats', 'tls', 'ws', 'wss'], 'nats://localhost:4222')).describe(
    'The NATS servers.',
  ),
  user: text().optional().describe('The user. Default: none.'),
  password: text('a password', { secret: true }).optional().describe('The password.'),
  token: text('a token', { secret: true })
    .optional()
    .describe('A token in place of user and password.'),
}

const redis = {
  url: address(['redis', 'rediss'], 'redis://localhost:6379').describe('The Redis server.'),
  library: oneOf('redis', 'ioredis')
    .optional()
    .describe('The library that connects. Default: the one that is installed.'),
}

const names = (what: string) => z.array(text(what)).min(1)

/** The sections of the brokers: exactly one is given. */
export const brokers = {
  memory: z
    .strictObject({})
    .describe('None: what is published here is sent from here, by this process only.'),
  redis: z
    .strictObject(redis)
    .describe('Channels of Redis pub/sub. It needs the package redis or ioredis.'),
  'redis-streams': z
    .strictObject({
      ...redis,
      field: text().prefault('data').describe('The field of an entry that is sent.'),
      stream: text('the name of a stream')
        .optional()
        .describe(
          'One stream for all topics, which is then a log: clients go on exactly on any server. Default: a stream for each topic.',
        ),
      topicField: text().prefault('topic').describe('With stream: the field that names the topic.'),
    })
    .describe('Redis Streams. It needs the package redis or ioredis.'),
  nats: z
    .strictObject(nats)
    .describe('Subjects of core NATS. It needs the package @nats-io/transport-node or nats.'),
  jetstream: z
    .strictObject({
      ...nats,
      stream: matching(/^[^\s.*>/\\]{1,255}$/, 'the name of a stream').describe(
        'The stream. Topics are its subjects.',
      ),
      subjects: names('a subject')
        .optional()
        .describe(
          'Makes the stream with these subjects, where it is missing. Default: it has to be there.',
        ),
      domain: text().optional().describe('The domain of JetStream, where it has one.'),
    })
    .describe(
      'One stream of NATS JetStream, which is a log: clients go on exactly on any server. It needs the packages @nats-io/transport-node and @nats-io/jetstream, or nats.',
    ),
  rabbitmq: z
    .strictObject({
      url: address(['amqp', 'amqps'], 'amqp://localhost:5672').describe('The RabbitMQ server.'),
      exchange: text('the name of an exchange')
        .prefault('unifrost')
        .describe(
          'The exchange that topics are read from, by their names as routing keys. It is made where it is missing.',
        ),
      exchangeType: oneOf('direct', 'topic').prefault('direct').describe('Its type.'),
    })
    .describe('An exchange of RabbitMQ. It needs the package amqplib.'),
  kafka: z
    .strictObject({
      brokers: oneOrMore(matching(/^[^\s:]+:\d+$/, 'host:port')).describe(
        'The brokers of Kafka, as host:port.',
      ),
    })
    .describe('Topics of Kafka. It needs the package @platformatic/kafka or kafkajs.'),
  postgres: z
    .strictObject({
      url: address(['postgres', 'postgresql'], 'postgres://localhost/app').describe(
        'The PostgreSQL database.',
      ),
    })
    .describe('Channels of PostgreSQL (LISTEN and NOTIFY). It needs the package pg.'),
  'google-pubsub': z
    .strictObject({
      projectId: text('the id of a project').describe(
        'The project. Credentials come from the environment.',
      ),
    })
    .describe('Topics of Google Pub/Sub. It needs the package @google-cloud/pubsub.'),
  sqs: z
    .strictObject({
      region: text('the name of a region').describe(
        'The region. Credentials come from the environment.',
      ),
      endpoint: address(['http', 'https'], 'http://localhost:4566')
        .optional()
        .describe('Another address than AWS has. Default: that of the region.'),
    })
    .describe(
      'Topics of SNS, over a queue of SQS. It needs @aws-sdk/client-sqs and @aws-sdk/client-sns.',
    ),
  'azure-service-bus': z
    .strictObject({
      connectionString: text('a connection string', { secret: true }).describe(
        'The connection string of the namespace.',
      ),
    })
    .describe('Topics of Azure Service Bus. It needs the package @azure/service-bus.'),
}

export type BrokerName = keyof typeof brokers

export const broker = z.strictObject(
  Object.fromEntries(
    Object.entries(brokers).map(([name, section]) => [name, section.optional()]),
  ) as { [Name in BrokerName]: z.ZodOptional<(typeof brokers)[Name]> },
)
