import type { DisconnectReason } from '../delivery/connection.js'
import type { Resume } from '../delivery/resume.js'

/** The state of a Streamer, and what has happened since it was made. */
export interface Stats {
  /** Clients that are live, connected or not. */
  clients: number
  /** Open responses. */
  connections: number
  /** Topics that are open on the broker, or being opened. */
  topics: number
  history: {
    frames: number
    /** What they cost, overhead included. */
    bytes: number
    /** Frames let go because of a bound. */
    evictions: number
  }
  /** Messages that came from the broker. */
  received: number
  /** Messages that were refused because they are not UTF-8. */
  refused: number
  /** Topic events handed to connections, counted once for each client. */
  sent: number
  /** Losses that clients were told of by `messages-lost`, not counting gaps of the broker. */
  messagesLost: number
  /** Gaps that drivers reported, counted once for each topic. */
  gaps: number
  /** Subscriptions that the broker ended. */
  failures: number
  /** Connections that named a position, by how they went on from it. */
  resumes: Record<Resume, number>
  /** Connections that ended, by reason. */
  disconnects: Record<DisconnectReason, number>
}

/** The part of the stats that only ever rises. */
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
      removed: 0,
      closed: 0,
    },
  }
}
