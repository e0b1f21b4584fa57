import type { DisconnectReason } from '../delivery/connection.js'
import type { Resume } from '../delivery/resume.js'

/** Counts of a Streamer: what there is now, and what has happened since it was made. */
export interface Stats {
  /** This server's clients, connected or not. */
  clients: number
  /** Open streams. */
  connections: number
  /** Topics that are open on the broker, or being opened. */
  topics: number
  history: {
    frames: number
    /** The bytes that they take, overhead included. */
    bytes: number
    /** Frames that were dropped because of a bound. */
    evictions: number
  }
  /** Connections that accept no bytes, and the bytes of memory that what they wait with takes. */
  stalled: { connections: number; bytes: number }
  /** Messages from the broker. */
  received: number
  /** Messages that were not sent: not UTF-8, or larger than `maxMessageBytes`. */
  refused: number
  /** Messages written to connections, counted once per client. */
  sent: number
  /** `messages-lost` messages sent to clients, without those for gaps that drivers reported. */
  messagesLost: number
  /** Gaps that drivers reported, counted once per topic. */
  gaps: number
  /** Subscriptions that the broker ended. */
  failures: number
  /** Connections that sent a position, by how they resumed from it. */
  resumes: Record<Resume, number>
  /** Connections that ended, by reason. */
  disconnects: Record<DisconnectReason, number>
}

/** The stats that only rise. */
export type Counters = Pick<
  Stats,
  'received' | 'refused' | 'messagesLost' | 'gaps' | 'failures' | 'resumes' | 'disconnects'
>

export function noCounts(): Counters {
  return {
    received: 0,
    refused: 0,
    messagesLost: 0,
    gaps: 0,
    failures: 0,
    resumes: { exact: 0, lost: 0, 'unknown-position': 0 },
    disconnects: {
      dropped: 0,
      slow: 0,
      replaced: 0,
      aged: 0,
      expired: 0,
      reconnect: 0,
      removed: 0,
      closed: 0,
    },
  }
}
