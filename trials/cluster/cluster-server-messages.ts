import type { Stats, StreamerOptions } from '../../src/index.js'
import type { Child } from '../kit/child.js'

export type ClusterServer = Child<Ask, Answer>

/** The broker, and what carries its topics. */
export type DriverConfig =
  | { kind: 'jetstream'; servers: string[]; stream: string; prefix: string }
  | { kind: 'redis-streams'; url: string; stream: string }
  | { kind: 'nats'; servers: string[] }

/** Where clients are remembered. */
export type DirectoryConfig =
  | { kind: 'redis'; url: string; prefix: string }
  | { kind: 'nats'; servers: string[]; bucket: string; replicas: number }

/** How one server of a cluster is started. */
export interface ClusterConfig {
  /** Its name in the directory. */
  name: string
  driver: DriverConfig
  directory: DirectoryConfig
  options: StreamerOptions
  host: string
  port: number
  /** How long SIGTERM spreads the goodbyes, in milliseconds. */
  drainOver: number
}

/** What the parent asks a server for. */
export type Ask = { do: 'report' } | { do: 'memory' } | { do: 'presence'; topic: string }

/** What the server answers. */
export interface Answer {
  stats: Stats
  /** The ids of the clients with a stream open here. */
  serving: string[]
  /** For `presence`: how many clients of the topic there are, and how many of any, everywhere. */
  presence?: { topic: number; clients: number }
  /** Whether it can reach its directory. */
  directory: 'up' | 'down' | 'none'
  /** Microseconds of processor time since it began. */
  cpu: number
  /** Bytes after a collection of garbage. */
  rss: number
}
