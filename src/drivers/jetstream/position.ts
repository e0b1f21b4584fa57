import type { StreamInfo } from '../../brokers/nats/jetstream.js'

/** Where a reader stands in a stream. */
export interface Position {
  /** When the stream was made: another stream of the same name has another time. */
  readonly created: string
  /** The last sequence that was read, or that there was when reading began. */
  readonly sequence: number
  /** When that was stored, in milliseconds since 1970. */
  readonly time: number
  /** Whether the stream is kept in memory, and begins anew with its server. */
  readonly inMemory: boolean
}

/** Where a stream ends. */
export function endOf({ created, config, state }: StreamInfo): Position {
  const [sequence, time] = [state.last_seq, Date.parse(state.last_ts ?? '')]
  return { created, sequence, time, inMemory: config.storage === 'memory' }
}

/** Where to go on reading, and why some may be missing before that. */
export interface Placed {
  readonly position: Position
  readonly missed?: string
}

/** Holds what was read against what the stream says of itself. */
export function place(position: Position | undefined, info: StreamInfo): Placed {
  if (position === undefined) return { position: endOf(info) }
  const { created, config, state } = info
  // What another stream has may be what this one had, restored: it is read from its end, so that
  // nothing comes twice.
  if (created !== position.created) {
    return { position: endOf(info), missed: 'The stream was deleted and made anew.' }
  }
  if (state.last_seq < position.sequence) {
    return { position: endOf(info), missed: 'The stream has lost its last messages.' }
  }
  // One in memory begins anew with the server, and may have come further than before already.
  const { first_seq: first, first_ts: since = '' } = state
  const anew = config.storage === 'memory' && first > 0 && first <= position.sequence
  if (anew && Date.parse(since) > position.time) {
    return { position: endOf(info), missed: 'The stream, kept in memory, has begun anew.' }
  }
  return { position }
}
