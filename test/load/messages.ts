/** What the parent of a load run asks of its server, and what it answers. */
export type ServerCommand =
  { do: 'publish'; count: number; bytes: number; perSecond: number } | { do: 'measure' }

export interface ServerReport {
  /** Resident bytes after garbage collection. */
  rss: number
  /** Bytes on the JavaScript heap after garbage collection. */
  heap: number
  /** Microseconds of processor time since the last report. */
  cpu: number
  /** The longest delay of the event loop since the last report, in milliseconds. */
  loopDelay: number
  clients: number
  connections: number
  topics: number
  historyBytes: number
  /** Deliveries that what was published makes, by who was subscribed. */
  owed: number
  messagesLost: number
  /** What keeps the process alive, by kind. */
  handles: Record<string, number>
}

/** What the parent asks of the process that plays the browsers. */
export type CrowdCommand =
  | { do: 'open'; from: number; to: number; reading: boolean }
  | { do: 'cut' }
  | { do: 'drop'; count: number }
  | { do: 'measure' }

export interface CrowdReport {
  /** Streams that have had their first message since they were last opened. */
  greeted: number
  /** Topic messages that came since the last report. */
  received: number
  /** Messages that said something was lost, since the last report. */
  lost: number
  /** Delivery times since the last report, in milliseconds. */
  p50: number
  p99: number
  max: number
}
