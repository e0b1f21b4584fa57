import { redisStreamsDriver } from '../../../src/drivers/redis-streams.js'
import type { RedisStreamsDriverOptions } from '../../../src/drivers/redis-streams.js'
import type { RedisLibrary } from '../../../src/drivers/redis.js'
import type { DriverHarness } from '../../../src/testing/index.js'
import { LIMITS, redisHarness } from './redis-harness.js'
import type { RedisFixture, Source } from './redis-harness.js'

/** As quick as for pub/sub, and streams that are deleted are noticed in half a second. */
export const STREAM_LIMITS: RedisStreamsDriverOptions = { ...LIMITS, checkInterval: 500 }

/** Adds an entry to a stream, with the field that is sent by default, and gives its id. */
export async function addEntry(
  fixture: RedisFixture,
  stream: string,
  payload: string | Uint8Array,
  ...trimming: string[]
): Promise<string> {
  return String(
    await fixture.command('XADD', stream, ...trimming, '*', 'data', Buffer.from(payload)),
  )
}

/** The contract's harness for one library and one way of getting a connection. */
export function redisStreamsHarness(
  fixture: RedisFixture,
  library: RedisLibrary,
  source: Source,
): { harness: DriverHarness; end(): Promise<void> } {
  const made = redisHarness(fixture, library, source, {
    make: (target, options) => redisStreamsDriver(target, { ...STREAM_LIMITS, ...options }),
    async publish(topic, payload) {
      await addEntry(fixture, topic, payload)
    },
  })
  leaveOutSubscriptions(made.harness)
  return made
}

/** The contract's harness for one stream that carries all topics, which is a log. */
export function redisLogHarness(
  fixture: RedisFixture,
  library: RedisLibrary,
): { harness: DriverHarness; end(): Promise<void> } {
  const stream = `log.${library}`
  const { harness, end } = redisHarness(fixture, library, 'url', {
    make: (target, options) =>
      redisStreamsDriver(target, {
        ...STREAM_LIMITS,
        ...options,
        sources: [stream],
        route: ({ fields }) => String(fields['topic']),
      }),
    async publish(topic, payload) {
      const fields = ['topic', topic, 'data', Buffer.from(payload)]
      await fixture.command('XADD', stream, '*', ...fields)
    },
  })
  leaveOutSubscriptions(harness)
  delete harness.badTopics
  delete harness.deniedTopic
  const inside = 'topics stand inside entries, and are nothing to Redis'
  harness.without = { ...harness.without, badTopics: inside, deniedTopic: inside }
  return { harness, end }
}

function leaveOutSubscriptions(harness: DriverHarness): void {
  delete harness.subscriptions
  const reason =
    'a stream is read by asking for it again and again: Redis keeps nothing for a reader'
  harness.without = { ...harness.without, subscriptions: reason }
}
