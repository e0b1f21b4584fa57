import type { Driver, StreamerOptions } from '../../src/index.js'
import { jetstreamDriver } from '../../src/drivers/jetstream.js'
import { natsDriver } from '../../src/drivers/nats.js'
import { redisStreamsDriver } from '../../src/drivers/redis-streams.js'
import { natsDirectory } from '../../src/directories/nats.js'
import { redisDirectory } from '../../src/directories/redis.js'
import type { ClusterConfig, DriverConfig } from './cluster-server-messages.js'

/** How a link is watched, so that one that is silent is noticed within two seconds. */
const QUICK = { pingInterval: 500, maxPingOut: 2, timeout: 1_000, reconnectTimeWait: 100 }

export function makeDriver(config: DriverConfig): Driver {
  if (config.kind === 'jetstream') {
    const { servers, stream, prefix } = config
    const address = (topic: string) => `${prefix}.${topic}`
    return jetstreamDriver({ servers, ...QUICK }, { stream, address })
  }
  if (config.kind === 'redis-streams') {
    return redisStreamsDriver(config.url, {
      sources: [config.stream],
      route: ({ fields }) => String(fields.topic),
    })
  }
  return natsDriver({ servers: config.servers, ...QUICK })
}

/** Whether a driver numbers its messages for all servers alike, so that any of them resumes exactly. */
export function hasLog(config: DriverConfig): boolean {
  return (makeDriver(config) as { log?: object }).log !== undefined
}

export function makeDirectory({ name, directory }: ClusterConfig): StreamerOptions {
  if (directory.kind === 'redis') {
    const { url, prefix } = directory
    return { server: name, directory: redisDirectory(url, { prefix }) }
  }
  const { servers, bucket, replicas } = directory
  return { server: name, directory: natsDirectory({ servers, ...QUICK }, { bucket, replicas }) }
}
