// What all servers share: a broker with a log, so that a client can resume at any server, and a
// directory, so that every server knows every client.
import { connect } from '@nats-io/transport-node'
import { createClient } from 'redis'
import type { Directory, Driver } from 'unifrost'
import { natsDirectory } from 'unifrost/directories/nats'
import { redisDirectory } from 'unifrost/directories/redis'
import { jetstreamDriver } from 'unifrost/drivers/jetstream'
import { redisStreamsDriver } from 'unifrost/drivers/redis-streams'

/** The engine's address. Without one, ends with a message that says what to do. */
export function engineUrl(): { nats?: string; redis?: string } {
  const { NATS_URL: nats, REDIS_URL: redis } = process.env
  if (nats) return { nats }
  if (redis) return { redis }
  console.error(
    'Several servers need something that they share. Start one of these, and say where it is:\n' +
      '  nats-server --jetstream   NATS_URL=nats://localhost:4222\n' +
      '  redis-server              REDIS_URL=redis://localhost:6379',
  )
  process.exit(1)
}

export function makeEngine(): { driver: Driver; directory: Directory } {
  const { nats, redis } = engineUrl()
  if (nats !== undefined) {
    return {
      driver: jetstreamDriver(nats, {
        stream: 'events',
        // A server or a browser that is away for longer misses messages.
        create: { subjects: ['events.>'], max_bytes: 256 * 1024 * 1024 },
        address: (topic) => `events.${topic}`,
      }),
      directory: natsDirectory(nats, { bucket: 'clients' }),
    }
  }
  return {
    driver: redisStreamsDriver(redis!, {
      sources: ['events'],
      route: ({ fields }) => String(fields.topic),
    }),
    directory: redisDirectory(redis!),
  }
}

/** Publishes something every second, in place of an application. Settles when it has begun. */
export async function publishTicks(): Promise<() => Promise<void>> {
  const { nats, redis } = engineUrl()
  const { publish, close } = nats === undefined ? await onRedis(redis!) : await onNats(nats)
  const timer = setInterval(() => {
    publish('clock', new Date().toISOString())
    publish('dice', String(1 + Math.floor(Math.random() * 6)))
  }, 1_000)
  return async () => {
    clearInterval(timer)
    await close()
  }
}

async function onNats(servers: string) {
  const connection = await connect({ servers, maxReconnectAttempts: -1 })
  return {
    publish: (topic: string, data: string) => connection.publish(`events.${topic}`, data),
    close: () => connection.drain(),
  }
}

async function onRedis(url: string) {
  const client = createClient({ url })
  client.on('error', (error) => console.error(String(error)))
  await client.connect()
  // Keeps about the last 100,000 entries. A server that was away while more came gets a gap.
  const TRIM = { strategy: 'MAXLEN', strategyModifier: '~', threshold: 100_000 } as const
  return {
    publish: (topic: string, data: string) =>
      void client.xAdd('events', '*', { topic, data }, { TRIM }).catch(console.error),
    close: () => client.close(),
  }
}
