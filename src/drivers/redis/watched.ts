import type { RedisConnection, RedisServer } from '../../brokers/redis/connection.js'
import { placeOf } from './place.js'

/**
 * A server whose connections are lost, too, when they no longer lead where they did: when their master
 * has become a replica, or the replica has lost its master.
 *
 * Redis takes no question on a connection that reads channels, so there are two, made one after the
 * other and ended together. They lead to the same server also behind a proxy that sends new connections
 * elsewhere.
 */
export function watchedServer(server: RedisServer): RedisServer {
  return {
    ...server,
    async connect(attempt) {
      const connection = await server.connect(attempt)
      let other: RedisConnection | undefined
      try {
        other = await server.connect(attempt)
        const place = await placeOf(other)
        if (place?.lacks !== undefined) throw new Error(place.lacks)
        return watched(connection, other, place?.name)
      } catch (error) {
        connection.destroy()
        other?.destroy()
        throw error
      }
    },
  }
}

function watched(
  connection: RedisConnection,
  other: RedisConnection,
  first: string | undefined,
): RedisConnection {
  let known = first
  let lose: (reason: Error) => void = () => undefined
  const moved = new Promise<Error>((resolve) => (lose = resolve))
  const destroy = () => {
    connection.destroy()
    other.destroy()
  }
  return {
    ...connection,
    // Nor does Redis take a message on it.
    call: (command) => (command[0] === 'PUBLISH' ? other : connection).call(command),
    lost: Promise.race([connection.lost, other.lost, moved]).finally(destroy),
    async probe() {
      const [place] = await Promise.all([placeOf(other), connection.call(['PING'])])
      if (place === undefined) return
      known ??= place.name
      if (place.lacks !== undefined) lose(new Error(place.lacks))
      else if (place.name !== known) {
        lose(new Error(`the server was a ${known} and is a ${place.name}`))
      }
    },
    destroy,
  }
}
