import {
  DirectoryUnavailableError,
  NoClientError,
  OptionsError,
  ServerSilentError,
  StreamerClosedError,
  SubscribeError,
  TooManyTopicsError,
  TopicNameError,
  UnifrostError,
} from './errors.js'
import type { SubscribeOptions } from './subscriptions.js'

/** What one server asks of another. */
export type Question =
  /**
   * Let a client go, which the asker has from this generation on. `stream`: it has a new stream
   * there, so the old one must not be opened again by itself.
   */
  | { ask: 'release'; id: string; generation: number; stream: boolean }
  | { ask: 'subscribe'; id: string; topic: string; options: SubscribeOptions }
  | { ask: 'unsubscribe'; id: string; topic: string }
  | { ask: 'remove'; id: string; end: 'removed' | 'revoked' }
  /** End all clients of an owner. */
  | { ask: 'revoke'; owner: string }
  /** How many clients there are: all, those of a topic, those of an owner. */
  | { ask: 'count'; topic?: string; owner?: string }

/** How many clients a server has, and how many of them have a stream. */
export interface Count {
  clients: number
  connected: number
}

/** What comes back. */
export type Answer =
  | { is: 'done'; value?: unknown }
  /** The client is not here, or no more. */
  | { is: 'elsewhere' }
  | { is: 'error'; error: WireError }

interface WireError {
  code: string
  message: string
  topic?: string | undefined
  limit?: number | undefined
}

const VERSION = 1

export function writeQuestion(question: Question): string {
  return JSON.stringify({ v: VERSION, ...question })
}

/** @returns undefined for what a newer version asks and this one does not know. */
export function readQuestion(text: string): Question | undefined {
  const { v, ...question } = JSON.parse(text) as { v: unknown } & Question
  const known = ['release', 'subscribe', 'unsubscribe', 'remove', 'revoke', 'count']
  return v === VERSION && known.includes(question.ask) ? question : undefined
}

export function writeAnswer(answer: Answer): string {
  return JSON.stringify(answer)
}

export function readAnswer(text: string): Answer {
  return JSON.parse(text) as Answer
}

/** An error on its way to the server that asked. */
export function errorAnswer(error: unknown): Answer {
  if (!(error instanceof UnifrostError)) {
    return { is: 'error', error: { code: 'ERR_UNIFROST_INTERNAL', message: String(error) } }
  }
  const { code, message } = error
  const { topic, limit } = error as { topic?: string; limit?: number }
  const cause = error.cause instanceof Error ? error.cause.message : undefined
  return { is: 'error', error: { code, message: cause ?? message, topic, limit } }
}

/** What each code that another server may answer with was there. */
const errors: Record<string, (error: WireError) => UnifrostError> = {
  ERR_UNIFROST_NO_CLIENT: () => new NoClientError(),
  ERR_UNIFROST_TOPIC_NAME: ({ message }) => new TopicNameError(message),
  ERR_UNIFROST_OPTIONS: ({ message }) => new OptionsError(message),
  ERR_UNIFROST_TOO_MANY_TOPICS: ({ limit = 0 }) => new TooManyTopicsError(limit),
  ERR_UNIFROST_SUBSCRIBE: ({ topic = '', message }) =>
    new SubscribeError(topic, new Error(message)),
  ERR_UNIFROST_CLOSED: () => new StreamerClosedError(),
  ERR_UNIFROST_DIRECTORY_UNAVAILABLE: ({ message }) =>
    new DirectoryUnavailableError(new Error(message)),
}

/** The error that another server has met, as it would have been here. */
export function revived(server: string, error: WireError): Error {
  const make = Object.hasOwn(errors, error.code) ? errors[error.code] : undefined
  if (make !== undefined) return make(error)
  return new ServerSilentError(server, new Error(error.message))
}
