import type { DisconnectReason, Stats, StreamerOptions } from '../../src/index.js'
import type { Child } from '../kit/child.js'

export type FaultyServer = Child<Command, Reply>

/** How a server under test is started. */
export interface ServerConfig {
  broker: { kind: 'memory' } | { kind: 'nats' | 'rabbitmq'; url: string }
  options?: StreamerOptions
  host?: string
  port?: number
  /** How long SIGTERM spreads the goodbyes, in milliseconds. */
  drainOver?: number
  /** Whether every callback of the application throws. */
  throwing?: boolean
}

/** What the parent asks for. */
export interface Command {
  do: 'publish' | 'block' | 'stats' | 'ends'
  messages?: [topic: string, payload: string][]
  milliseconds?: number
}

/** What the server answers. */
export interface Reply {
  stats: Stats
  /** The connections that have ended since it was last asked for them. */
  ends: { reason: DisconnectReason; fullFor: number }[]
  memory: { rss: number; arrayBuffers: number }
  sockets: number
  /** Connections that take nothing more. */
  full: number
  unhandled: number
  wallClock: number
  monotonic: number
}
