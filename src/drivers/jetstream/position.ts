import type { StreamInfo } from '../../brokers/nats/jetstream.js'

/** Where a reader stands in a stream. */
export interface Position {
  /** When the stream was made. Another stream of the same name has another time. */
  readonly created: string
  /** The last sequence that was read, or that there was when reading began. */
  readonly sequence: number
  /** When that message was stored, in milliseconds since 1970. */
  readonly time: number
  /** Whether the stream is kept in memory, and begins anew with its server. */
  readonly inMemory: boolean
}

/** Where a stream ends. */
export function endOf({ created, config, state }: StreamInfo): Position {
  const [sequence, time] = [state.last_seq, Date.parse(state.last_ts ?? '')]
  return { created, sequence, time, inMemory: config.storage === 'memory' }
}

/** Where to go on reading, and why messages may be missing before that. */
export interface Placed {
  readonly position: Position
  readonly missed?: string
}

/** Compares how far a stream was read with what it says of itself now. */
export function place(position: Position | undefined, info: StreamInfo): Placed {
  if (position === undefined) return { position: endOf(info) }
  const { created, config, state } = info
  // A stream that was made anew may hold the old messages again, restored from a backup. Reading
  // begins at its end, so that nothing comes twice.
  if (created !== position.created) {
    return { position: endOf(info), missed: 'The stream was deleted and made anew.' }
  }
  if (state.last_seq < position.sequence) {
    return { position: endOf(info), missed: 'The stream has lost its last messages.' }
  }
  // A stream in memory begins anew with its server, and may have passed the old position already. An
  // example: 10 was read; its first message is 1 again, stored later than the old 10.
  const { first_seq: first, first_ts: since = '' } = state
  const anew = config.storage === 'memory' && first > 0 && first <= position.sequence
  if (anew && Date.parse(since) > position.time) {
    return { position: endOf(info), missed: 'The stream, kept in memory, has begun anew.' }
  }
  return { position }
}
