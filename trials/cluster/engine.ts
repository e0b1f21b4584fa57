import type { Messages } from '../kit/publishing.js'
import type { DirectoryConfig, DriverConfig } from './cluster-server-messages.js'

export type EngineKind = 'jetstream' | 'redis' | 'nats'

/** A broker and a directory for a cluster, with a publisher past all faults. */
export interface Engine {
  readonly kind: EngineKind
  /** For the tables. */
  readonly title: string
  /** Whether its driver has a log, so that nothing may be missing at all. */
  readonly hasLog: boolean
  /** What servers are told. `name` keeps clusters on one engine apart. */
  driver(name: string): DriverConfig
  directory(name: string): DirectoryConfig
  /** @returns whether the broker has confirmed in time that it has them. */
  publish(name: string, messages: Messages): Promise<boolean>
  /** How many operations the directory of this cluster has cost so far. */
  operations(name: string): Promise<number>
  /** The one thing that befalls it: all is lost, or its leader is. @returns what was done */
  harm(): Promise<string>
  stop(): Promise<void>
}

/** How long an engine that is killed is away, in milliseconds. */
export const AWAY = 3_000
