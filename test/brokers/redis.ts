import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from 'redis'
import { requireCommand } from './apt.js'
import { BrokerProcess, freePort } from './process.js'

/** A Redis server that is running already and is used instead of one of ours. */
export const RUNNING_REDIS = process.env['UNIFROST_TEST_REDIS']

/** What a connection without credentials may not read, as a channel or a key. */
export const DENIED = 'denied'

/** Who may do everything. */
export const ADMIN = { username: 'admin', password: 'admin-secret' }

/** What a connection without credentials may do: all that the docs say a driver needs. */
export const PERMISSIONS =
  '+ping +role +subscribe +unsubscribe +xread +xinfo|stream +client|unblock +client|id ' +
  '+xrange +xrevrange +get +set +eval ~{*}:epoch'

/** A node-redis client; its full type has all commands there are in it. */
export type AdminClient = ReturnType<typeof adminClient>

/** A client to publish with and to look around with; it reconnects for ever and quickly. */
export function adminClient(url: string) {
  const client = createClient({
    url,
    // What can't be sent now is told to the caller instead of being sent later.
    disableOfflineQueue: true,
    socket: { reconnectStrategy: 20, connectTimeout: 1_000 },
  })
  client.on('error', () => undefined)
  return client
}

/** A Redis server of ours, on a port of its own. */
export interface RedisServer {
  readonly port: number
  /** For the drivers: without credentials. */
  readonly url: string
  readonly adminUrl: string
  readonly process: BrokerProcess
  stop(): Promise<void>
}

export interface RedisServerOptions {
  /** Default: one that is free. */
  port?: number
  /** More lines for its configuration. */
  config?: string
}

/**
 * Starts a Redis server that keeps every write: it is handed to the system before it is answered,
 * which outlives the process, and not flushed to the disk, which only a crash of the machine needs.
 *
 * Who has no credentials may do what a driver needs, and not read what begins with {@link DENIED}.
 */
export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  const command = await requireCommand(
    'redis-server',
    'redis-server',
    'start one and set UNIFROST_TEST_REDIS=redis://host:port',
  )
  const port = options.port ?? (await freePort())
  const folder = await mkdtemp(join(tmpdir(), 'unifrost-redis-'))
  const file = join(folder, 'redis.conf')
  // Patterns only allow, so that what is denied is what none of them matches.
  const readable = ['[^d]*', 'd[^e]*', 'de[^n]*'].flatMap((name) => [`&${name}`, `%R~${name}`])
  await writeFile(
    file,
    `
    bind 127.0.0.1
    port ${port}
    dir ${folder}
    daemonize no
    appendonly yes
    appendfsync no
    save ""
    user default on nopass resetkeys resetchannels ${readable.join(' ')} -@all ${PERMISSIONS}
    user ${ADMIN.username} on >${ADMIN.password} ~* &* +@all
    ${options.config ?? ''}
    `.replace(/^ +/gm, ''),
  )
  const broker = await BrokerProcess.start({ command, args: [file], port })
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    adminUrl: `redis://${ADMIN.username}:${ADMIN.password}@127.0.0.1:${port}`,
    process: broker,
    async stop() {
      await broker.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
