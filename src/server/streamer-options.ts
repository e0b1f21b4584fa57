import type { Limits, StreamerOptions } from '../index.js'
import type { Config } from './config/schema.js'

/** The limits that change while streams are open. */
export function limitsOf({ limits }: Config): Limits {
  return given({
    maxTopics: limits.topicsPerClient,
    maxOpenTopics: limits.openTopics,
    maxClients: limits.clients,
    maxConnectionsPerAddress: limits.connectionsPerAddress,
    maxConnectionsPerOwner: limits.connectionsPerOwner,
  })
}

/** The Streamer's options that a configuration has. */
export function streamerOptions(config: Config): StreamerOptions {
  const { limits, streams, history } = config
  return {
    ...limitsOf(config),
    clientTTL: streams.clientTTL,
    heartbeatInterval: streams.heartbeat,
    topicLinger: streams.topicLinger,
    slowClientTimeout: streams.slowAfter,
    maxConnectionAge: streams.maxAge,
    history: given(history),
    maxMessageBytes: limits.messageBytes,
  }
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> }

function given<T extends object>(options: T): Given<T> {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as Given<T>
}
