/** What a crowd is told at its start. */
export interface CrowdSettings {
  /** Where the servers are. Who is cut off comes back to the next one. */
  servers: readonly { host: string; port: number }[]
  /** How many connections may be on their way at once. */
  abreast: number
  /** How often a stream that is refused is tried. Default: once. */
  tries?: number
  /**
   * Has each member make its client and subscribe it by requests, `each` of `topics` topics. Default:
   * a server makes a client when it sees its id.
   */
  register?: { each: number; topics: number }
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
  /** Gives the report, and begins to count anew. */
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
  /** Answers that were no stream, by their first line, or why there was none. */
  refused: Record<string, number>
}
