import { z } from 'zod'
import { address, matching, oneOrMore, text } from './scalars.js'

/** The sections of the brokers: exactly one is given. */
export const brokers = {
  memory: z
    .strictObject({})
    .describe('None: what is published here is sent from here, by this process only.'),
  redis: z
    .strictObject({
      url: address(['redis', 'rediss'], 'redis://localhost:6379').describe('The Redis server.'),
    })
    .describe('Pub/sub of Redis: channels. It needs the package redis or ioredis.'),
  nats: z
    .strictObject({
      servers: oneOrMore(address(['nats', 'tls', 'ws', 'wss'], 'nats://localhost:4222')).describe(
        'The NATS servers.',
      ),
      user: text().optional().describe('The user. Default: none.'),
      password: text('a password', { secret: true }).optional().describe('The password.'),
      token: text('a token', { secret: true })
        .optional()
        .describe('A token in place of user and password.'),
    })
    .describe('Subjects of core NATS. It needs the package @nats-io/transport-node or nats.'),
}

export type BrokerName = keyof typeof brokers

export const broker = z.strictObject(
  Object.fromEntries(
    Object.entries(brokers).map(([name, section]) => [name, section.optional()]),
  ) as { [Name in BrokerName]: z.ZodOptional<(typeof brokers)[Name]> },
)

export { matching }
