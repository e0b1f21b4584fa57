import type { ConnectionRate, StreamerOptions } from '../../src/index.js'

/** What the parent gives at the start. */
export interface LoadSettings {
  topics: number
  /** How many of them each client has. */
  each: number
  options?: StreamerOptions
  /** How many sockets the server takes at all; Node closes further ones before it reads them. */
  sockets?: number
}

/** What the parent of a load run asks of its server. */
export type ServerCommand =
  | { do: 'publish'; count: number; bytes: number; perSecond: number }
  | { do: 'churn'; count: number }
  | { do: 'limit'; rate: ConnectionRate }
  /** With `collect`, garbage is collected first, which holds everybody up. */
  | { do: 'measure'; collect: boolean }

export interface ServerReport {
  /** Resident bytes. */
  rss: number
  /** Bytes on the JavaScript heap. */
  heap: number
  /** The longest delay of the event loop since the last report, in milliseconds. */
  loopDelay: number
  clients: number
  connections: number
  /** Topics that the driver has open, by its own count. */
  topics: number
  /** Topics that a live client is subscribed to. */
  wantedTopics: number
  /** Connections that take nothing more. */
  full: number
  /** Connections that ended for the reason that they took nothing. */
  slow: number
  historyBytes: number
  historyFrames: number
  /** Deliveries that what was published makes, by who was subscribed. */
  owed: number
  /** Timers of Node's that the Streamer has set, and what it waits for on them. */
  timers: number
  appointments: number
  /** What keeps the process alive, by kind. */
  handles: Record<string, number>
}
