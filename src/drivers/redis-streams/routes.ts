import type { Payload } from '../../driver.js'
import { checkedPayload } from '../../driver-kit/index.js'
import type { RoutingOptions } from '../../driver-kit/index.js'
import type { RedisStreamMessage } from './stream.js'

/** Which topics an entry is for, and what is sent of it. */
export class Routes {
  constructor(
    private readonly options: RoutingOptions<RedisStreamMessage>,
    private readonly body: (message: RedisStreamMessage) => string | Uint8Array,
  ) {}

  /** The topics, in the order of their names. @throws what `route` throws */
  topicsOf(message: RedisStreamMessage): string[] {
    const topics = this.options.route?.(message)
    if (topics === undefined) return []
    return typeof topics === 'string' ? [topics] : [...new Set(topics)].toSorted()
  }

  /** What is sent of an entry to a topic. @throws what `payload` throws, and where it does not fit */
  payloadOf(message: RedisStreamMessage, topic: string): Payload {
    return checkedPayload((this.options.payload ?? this.body)(message, topic))
  }
}
