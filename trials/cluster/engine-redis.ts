import { adminClient, startRedis } from '../../test/brokers/redis.js'
import type { RedisServerOptions } from '../../test/brokers/redis.js'
import { bounded } from '../kit/bounded.js'
import { PUBLISH_TIMEOUT } from '../kit/publishing.js'
import type { Engine } from './engine.js'
import { AWAY } from './engine.js'
import { hasLog } from './driver-and-directory.js'
import type { DirectoryConfig } from './cluster-server-messages.js'

/** One Redis for the stream and for the directory. */
export async function redisEngine(
  options: RedisServerOptions = {},
): Promise<Engine & Pick<Server, 'client' | 'usage'>> {
  const server = await redisServer(options)
  const streamOf = (name: string) => `stream:${name}`
  const driver = (name: string) =>
    ({ kind: 'redis-streams', url: server.url, stream: streamOf(name) }) as const
  return {
    kind: 'redis',
    title: 'one Redis stream and a Redis directory',
    hasLog: hasLog(driver('any')),
    driver,
    directory: server.directory,
    publish(name, messages) {
      const all = messages.map(([topic, data]) =>
        server.client.xAdd(streamOf(name), '*', { topic, data }),
      )
      return bounded(Promise.all(all), PUBLISH_TIMEOUT)
    },
    operations: server.operations,
    harm: server.harm,
    stop: server.stop,
    client: server.client,
    usage: server.usage,
  }
}

type Server = Awaited<ReturnType<typeof redisServer>>

/** A Redis server for a directory, and for streams, that keeps nothing when it is killed. */
export async function redisServer(options: RedisServerOptions = {}) {
  const server = await startRedis({ ...options, config: `appendonly no\n${options.config ?? ''}` })
  const client = adminClient(server.adminUrl)
  await client.connect()
  return {
    url: server.adminUrl,
    server,
    client,
    directory: (name: string): DirectoryConfig => ({
      kind: 'redis',
      url: server.adminUrl,
      prefix: `${name}:`,
    }),
    /**
     * What servers have asked of it, over all clusters: Redis does not count by key. It counts what
     * scripts do as well, which is taken out again: each of them that writes has read before.
     */
    async operations(): Promise<number> {
      const calls = await commandsOf(client)
      const of = (...names: string[]) => names.reduce((sum, it) => sum + (calls.get(it) ?? 0), 0)
      return of('evalsha', 'eval', 'publish') + Math.max(0, of('get') - of('set', 'del'))
    },
    /** Bytes of what it holds, and microseconds of processor time that it has taken. */
    async usage(): Promise<{ memory: number; busy: number }> {
      const text = String(await client.sendCommand(['INFO', 'everything']))
      const of = (name: string) => Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(text)?.[1])
      return {
        memory: of('used_memory_dataset'),
        busy: 1e6 * (of('used_cpu_user') + of('used_cpu_sys')),
      }
    },
    async harm() {
      await server.process.kill()
      setTimeout(() => void server.process.start(), AWAY)
      return `Redis is killed, and is back empty after ${AWAY / 1_000} s`
    },
    async stop() {
      client.destroy()
      await server.stop()
    },
  }
}

/** How often each command was called. */
export async function commandsOf(
  client: ReturnType<typeof adminClient>,
): Promise<Map<string, number>> {
  const text = String(await client.sendCommand(['INFO', 'commandstats']))
  const lines = text.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)
  return new Map([...lines].map(([, command, calls]) => [command!, Number(calls)]))
}
