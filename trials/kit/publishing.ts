import { connect } from '@nats-io/transport-node'
import type { NatsConnection } from '@nats-io/transport-node'
import { ADMIN } from '../../test/brokers/nats.js'
import { bounded } from './bounded.js'

export type Messages = [topic: string, payload: string][]

/** How long a publisher waits for its broker before it goes on with the next messages. */
export const PUBLISH_TIMEOUT = 1_000

/** The connection of a publisher that goes on through all faults. */
export function natsPublisher(servers: readonly string[]): Promise<NatsConnection> {
  return connect({
    ...ADMIN,
    servers: [...servers],
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    pingInterval: 500,
    timeout: 1_000,
  })
}

/** @returns whether the broker has confirmed in time that it has them. */
export function publishOnNats(connection: NatsConnection, messages: Messages): Promise<boolean> {
  for (const [topic, payload] of messages) connection.publish(topic, payload)
  return bounded(connection.flush(), PUBLISH_TIMEOUT)
}
