import type { RedisConnection } from '../../brokers/redis/connection.js'
import { isReply } from '../../brokers/redis/replies.js'

/** What a server is to the messages of pub/sub. */
export interface Place {
  /** Text that changes when the server becomes, or ceases to be, a replica, or one of another master. */
  readonly name: string
  /** Why it has not all messages at the moment. */
  readonly lacks?: string
}

/**
 * Asks a server for its place. A master that becomes a replica keeps its connections, and what is
 * published to the new master does not reach it until it has copied that one's data.
 *
 * @returns undefined where the server does not tell, or not now.
 */
export async function placeOf(connection: RedisConnection): Promise<Place | undefined> {
  // It is allowed to every user, and there since Redis 6.
  const hello = await told(connection, ['HELLO', '2'])
  const role = field(hello, 'role')
  if (role !== undefined && role !== 'replica') return { name: role }
  // Nodes of a cluster pass messages on to one another, whatever their roles.
  if (field(hello, 'mode') === 'cluster') return { name: 'replica' }
  // Only this says which master it has, and whether it hears that. It takes a permission.
  const [kind, host, port, state] = (await told(connection, ['ROLE']))?.map(String) ?? []
  if (kind !== 'slave') {
    const name = kind ?? role
    return name === undefined ? undefined : { name }
  }
  const name = `replica of ${host}:${port}`
  return state === 'connected'
    ? { name }
    : { name, lacks: `it is a replica that does not hear its master ${host}:${port} (${state})` }
}

/** The reply, where it is a list. Undefined where the server refuses the command. */
async function told(
  connection: RedisConnection,
  command: readonly string[],
): Promise<unknown[] | undefined> {
  try {
    const reply = await connection.call(command)
    return Array.isArray(reply) ? reply : undefined
  } catch (error) {
    if (isReply(error)) return undefined
    throw error
  }
}

/** A value out of a list of names and values. */
function field(list: unknown[] | undefined, name: string): string | undefined {
  const index = list?.findIndex((it, at) => at % 2 === 0 && String(it) === name) ?? -1
  return index < 0 ? undefined : String(list?.[index + 1])
}
