import { jetstreamManager } from '@nats-io/jetstream'
import { startNats } from '../../test/brokers/nats.js'
import { startNatsCluster } from '../../test/brokers/nats-cluster.js'
import { bounded } from '../kit/bounded.js'
import { natsPublisher, PUBLISH_TIMEOUT, publishOnNats } from '../kit/publishing.js'
import type { Engine } from './engine.js'
import { AWAY } from './engine.js'
import { redisServer } from './engine-redis.js'
import { hasLog } from './driver-and-directory.js'

const STREAM = 'cluster'
const PREFIX = 'c'

/** Three servers with a stream and a bucket that all of them have. */
export async function jetstreamEngine(): Promise<Engine> {
  const cluster = await startNatsCluster()
  const { urls: servers } = cluster
  const connection = await natsPublisher(servers)
  const manager = await jetstreamManager(connection)
  const driver = { kind: 'jetstream' as const, servers, stream: STREAM, prefix: PREFIX }
  const limits = { max_bytes: 256 * 1024 * 1024, num_replicas: 3 }
  await manager.streams.add({ name: STREAM, subjects: [`${PREFIX}.>`], ...limits })
  return {
    kind: 'jetstream',
    title: 'JetStream and its key-value bucket, three nats-servers',
    hasLog: hasLog(driver),
    driver: () => driver,
    directory: (name) => ({ kind: 'nats', servers, bucket: name, replicas: 3 }),
    publish(_, messages) {
      const all = messages.map(async ([topic, payload]) => {
        const options = { timeout: PUBLISH_TIMEOUT }
        const { error } = (await connection.request(`${PREFIX}.${topic}`, payload, options)).json<{
          error?: { description: string }
        }>()
        if (error) throw new Error(error.description)
      })
      return bounded(Promise.all(all), 2 * PUBLISH_TIMEOUT)
    },
    // What a bucket is asked is counted nowhere; its changes are.
    operations: async (name) => (await manager.streams.info(`KV_${name}`)).state.last_seq,
    async harm() {
      const { cluster: group } = await manager.streams.info(STREAM)
      const leader = cluster.named(group?.leader ?? '')
      await leader.process.kill()
      setTimeout(() => void leader.process.start(), AWAY)
      return `the leader of the stream is killed, and is back after ${AWAY / 1_000} s`
    },
    async stop() {
      await bounded(connection.close(), PUBLISH_TIMEOUT)
      await cluster.stop()
    },
  }
}

/** A broker that keeps nothing, with the directory elsewhere. */
export async function natsEngine(): Promise<Engine> {
  const server = await redisServer()
  const nats = await startNats()
  const connection = await natsPublisher([nats.url])
  return {
    kind: 'nats',
    title: 'NATS without JetStream and a Redis directory',
    hasLog: false,
    driver: () => ({ kind: 'nats', servers: [nats.url] }),
    directory: server.directory,
    publish: (_, messages) => publishOnNats(connection, messages),
    operations: server.operations,
    harm: server.harm,
    async stop() {
      await bounded(connection.close(), PUBLISH_TIMEOUT)
      await Promise.all([nats.stop(), server.stop()])
    },
  }
}
