import type { Limits, Logger, StreamerOptions } from '../index.js'
import type { Config } from './config/schema.js'
import type { Terms } from './terms.js'
import { topicOptions } from './topic-options.js'

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

/** A Streamer's options: those of a configuration, with the terms that decide on its topics. */
export function streamerParts(config: Config, terms: Terms, logger: Logger): StreamerOptions {
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
    logger,
    topics: topicOptions(config.topics),
    authorize: (principal, topic) => terms.allows(principal, topic),
  }
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> }

function given<T extends object>(options: T): Given<T> {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as Given<T>
}
