import type { ConnectionRate } from '../../src/index.js'

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

/** What the parent asks of the process that plays the browsers. */
export type CrowdCommand =
  | { do: 'open'; from: number; to: number }
  /** Some take nothing from their sockets from now on, and do not count any more. */
  | { do: 'stop reading'; from: number; to: number }
  /** All are cut off, and come back at once. */
  | { do: 'cut' }
  /** The oldest go for good; as many others are cut off and come back. */
  | { do: 'drop'; count: number }
  | { do: 'report' }
  /** The same, and counting begins anew. */
  | { do: 'take' }

export interface CrowdReport {
  /** Streams that are there, and have had their first message on this connection. */
  greeted: number
  /** Connections that have ended without the crowd's doing. */
  ended: number
  /** Topic messages that have come. */
  received: number
  /** Messages that said something was lost. */
  lost: number
  /** Delivery times in milliseconds. */
  p50: number
  p99: number
  max: number
}
