import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { until } from '../../src/testing/index.js'
import { ADMIN, startNats } from './nats.js'
import type { NatsServer } from './nats.js'
import { freePort } from './process.js'

/** Three NATS servers that keep streams together: each change is agreed on by two of them. */
export interface NatsCluster {
  readonly servers: readonly NatsServer[]
  /** The addresses of all three. */
  readonly urls: string[]
  /** The server with this name in the cluster's own reports. */
  named(name: string): NatsServer
  stop(): Promise<void>
}

const SIZE = 3

export async function startNatsCluster(): Promise<NatsCluster> {
  const ports = await Promise.all(Array.from({ length: SIZE }, () => freePort()))
  const routes = ports.map((port) => `nats://127.0.0.1:${port}`).join(', ')
  const servers = await Promise.all(
    ports.map((port, index) =>
      startNats({
        jetstream: true,
        config: `
          server_name: ${nameOf(index)}
          cluster { name: unifrost, listen: "127.0.0.1:${port}", routes: [${routes}] }
        `,
      }),
    ),
  )
  const stop = async () => {
    await Promise.all(servers.map((server) => server.stop()))
  }
  try {
    await elected(servers)
  } catch (error) {
    await stop()
    throw error
  }
  return {
    servers,
    urls: servers.map(({ url }) => url),
    named: (name) => servers.find((_, index) => nameOf(index) === name)!,
    stop,
  }
}

const nameOf = (index: number) => `n${index + 1}`

/** Waits until the three have a leader and streams can be made. */
async function elected(servers: readonly NatsServer[]): Promise<void> {
  const connection = await connect({ ...ADMIN, servers: servers.map(({ url }) => url) })
  try {
    const attempt = async () => {
      const manager = await jetstreamManager(connection, { timeout: 1_000 })
      await manager.streams.add({ name: 'ready', subjects: ['ready'], num_replicas: SIZE })
      return manager.streams.delete('ready')
    }
    await until('the NATS cluster to be ready', () => attempt().catch(() => false), 30_000)
  } finally {
    await connection.close()
  }
}
