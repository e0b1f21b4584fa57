import {
  DirectoryUnavailableError,
  NoClientError,
  OptionsError,
  PositionError,
  ServerSilentError,
  StreamerClosedError,
  SubscribeError,
  TooManyOpenTopicsError,
  TooManyTopicsError,
  TopicNameError,
  UnifrostError,
} from '../errors.js'
import type { Each } from '../service/commands.js'
import type { Revocation } from '../service/revocations.js'
import { isRevocation } from '../service/revocations.js'
import type { Selector } from '../service/selector.js'
import { isSelector } from '../service/selector.js'
import type { JoinOptions } from '../service/subscriptions.js'

/** A question of one server to another. */
export type Question =
  /**
   * Give a client up: the server that asks has it, by this generation. `stream`: whether the client
   * has a new stream there, so that the old stream's page must not reconnect.
   */
  | { ask: 'release'; id: string; generation: number; stream: boolean }
  | { ask: 'subscribe'; id: string; topic: string; options: JoinOptions }
  | { ask: 'unsubscribe'; id: string; topic: string }
  | { ask: 'remove'; id: string; end: 'removed' | 'revoked' }
  /** End who is revoked, and refuse them from now on. */
  | { ask: 'revoke'; revocation: Revocation }
  /** Ask again whether clients may have their topics: all clients, or those that are meant. */
  | { ask: 'recheck'; which?: Selector | undefined }
  /** End the streams of clients, so that they come again: all clients, or those that are meant. */
  | { ask: 'reconnect'; which?: Selector | undefined }
  /** Say which clients there are: all, or those that are meant. */
  | { ask: 'list'; which?: Selector | undefined }
  /** Do the same with each client that is meant. */
  | { ask: 'each'; which: Selector; what: Each }
  /** Count clients: all, a topic's, or an owner's. */
  | { ask: 'count'; topic?: string; owner?: string }

/** The answer to a {@link Question}. */
export type Answer =
  | { is: 'done'; value?: unknown }
  /** The client is not on this server. */
  | { is: 'elsewhere' }
  | { is: 'error'; error: WireError }

/** An error, as another server gets it. */
export interface WireError {
  code: string
  message: string
  topic?: string | undefined
  limit?: number | undefined
  per?: 'owner' | 'address' | undefined
}

const VERSION = 1

type Fields = Record<string, unknown>

const isText = (value: unknown): value is string => typeof value === 'string'
const isTextOrAbsent = (value: unknown) => value === undefined || isText(value)

const isSelectorOrAbsent = (value: unknown) => value === undefined || isSelector(value)

function isEach({ do: verb, topics, options }: Fields): boolean {
  if (!Array.isArray(topics) || !topics.every(isText)) return false
  return verb === 'unsubscribe' || (verb === 'subscribe' && isObject(options))
}

/** Checks the fields of each question. A newer version may add fields. */
const questions: Record<Question['ask'], (fields: Fields) => boolean> = {
  release: ({ id, generation, stream }) =>
    isText(id) && Number.isSafeInteger(generation) && typeof stream === 'boolean',
  subscribe: ({ id, topic, options }) => isText(id) && isText(topic) && isObject(options),
  unsubscribe: ({ id, topic }) => isText(id) && isText(topic),
  remove: ({ id, end }) => isText(id) && (end === 'removed' || end === 'revoked'),
  revoke: ({ revocation }) => isRevocation(revocation),
  recheck: ({ which }) => isSelectorOrAbsent(which),
  reconnect: ({ which }) => isSelectorOrAbsent(which),
  list: ({ which }) => isSelectorOrAbsent(which),
  each: ({ which, what }) => isSelector(which) && isObject(what) && isEach(what),
  count: ({ topic, owner }) => isTextOrAbsent(topic) && isTextOrAbsent(owner),
}

export function writeQuestion(question: Question): string {
  return JSON.stringify({ v: VERSION, ...question })
}

/** @throws Error if the text is not a question of this version. */
export function readQuestion(text: string): Question {
  const { v, ...question } = parseObject(text)
  const { ask } = question
  const check = isText(ask) && Object.hasOwn(questions, ask) && questions[ask as Question['ask']]
  if (v === VERSION && check && check(question)) return question as unknown as Question
  throw new Error('Another server asked a question that this version does not know.')
}

export function writeAnswer(answer: Answer): string {
  return JSON.stringify(answer)
}

/** Text that is not an answer of this version becomes an error answer. Never throws. */
export function readAnswer(text: string): Answer {
  try {
    const answer = parseObject(text)
    const { is, error } = answer
    if (is === 'done' || is === 'elsewhere') return answer as Answer
    if (is === 'error' && isObject(error) && isText(error['code']) && isText(error['message'])) {
      return answer as Answer
    }
    throw new Error('Another server sent an answer that this version does not know.')
  } catch (error) {
    return errorAnswer(error)
  }
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function parseObject(text: string): Fields {
  const value: unknown = JSON.parse(text)
  if (!isObject(value)) throw new Error('Another server sent a message that is not a JSON object.')
  return value
}

/** An error, as the answer to a question. */
export function errorAnswer(error: unknown): Answer {
  return { is: 'error', error: written(error) }
}

export function written(error: unknown): WireError {
  if (!(error instanceof UnifrostError)) {
    return { code: 'ERR_UNIFROST_INTERNAL', message: String(error) }
  }
  const { code, message } = error
  const { topic, limit, per } = error as Partial<WireError>
  const cause = error.cause instanceof Error ? error.cause.message : undefined
  return { code, message: cause ?? message, topic, limit, per }
}

/** Makes an error from another server's answer, by its code. */
const errors: Record<string, (error: WireError) => UnifrostError> = {
  ERR_UNIFROST_NO_CLIENT: () => new NoClientError(),
  ERR_UNIFROST_TOPIC_NAME: ({ message }) => new TopicNameError(message),
  ERR_UNIFROST_POSITION: () => new PositionError(),
  ERR_UNIFROST_OPTIONS: ({ message }) => new OptionsError(message),
  ERR_UNIFROST_TOO_MANY_TOPICS: ({ limit = 0 }) => new TooManyTopicsError(limit),
  ERR_UNIFROST_TOO_MANY_OPEN_TOPICS: ({ limit = 0, per }) => new TooManyOpenTopicsError(limit, per),
  ERR_UNIFROST_SUBSCRIBE: ({ topic = '', message }) =>
    new SubscribeError(topic, new Error(message)),
  ERR_UNIFROST_CLOSED: () => new StreamerClosedError(),
  ERR_UNIFROST_DIRECTORY_UNAVAILABLE: ({ message }) =>
    new DirectoryUnavailableError(new Error(message)),
}

/** The error to throw for another server's error answer. */
export function revived(server: string, error: WireError): Error {
  const make = Object.hasOwn(errors, error.code) ? errors[error.code] : undefined
  if (make !== undefined) return make(error)
  return new ServerSilentError(server, new Error(error.message))
}
