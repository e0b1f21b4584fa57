import type { RoutingOptions } from '../../driver-kit/sources.js'
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

  payloadOf(message: RedisStreamMessage): string | Uint8Array {
    return (this.options.payload ?? this.body)(message)
  }
}
