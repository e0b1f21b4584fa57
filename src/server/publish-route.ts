import { createHash } from 'node:crypto'
import type { AnyRequest, AnyResponse, Streamer } from '../index.js'
import { AuthenticationError, BodyError, MethodError, UnifrostError } from '../index.js'
import { answer, errorBody, jsonOf } from './answers.js'
import type { Idempotency } from './idempotency.js'
import type { MayPublish } from './publishing.js'

/** A publisher's key is not for this topic. */
export class PublishForbiddenError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_PUBLISH_FORBIDDEN'
  readonly status = 403
  constructor(topics: readonly string[]) {
    super(`This key may not publish to ${topics.map((it) => JSON.stringify(it)).join(', ')}.`)
  }
}

/** How requests to publish are answered. */
export interface PublishSettings {
  /** What the key of a request may do; undefined for an unknown one. Without a key it gets ''. */
  readonly keyed: (key: string, request: AnyRequest) => MayPublish | undefined
  readonly maxBodyBytes: number
  readonly maxMessages: number
  /** How long an idempotency key is remembered, in milliseconds. */
  readonly remember: number
}

interface Message {
  readonly topics: readonly string[]
  readonly data: string
}

/** `POST /publish`: one message `{topic, data}`, or a list of them. */
export async function publishRoute(
  streamer: Streamer,
  request: AnyRequest,
  response: AnyResponse,
  settings: PublishSettings,
  idempotency: Idempotency,
): Promise<void> {
  if (request.method !== 'POST') throw new MethodError(request.method ?? 'GET', ['POST'])
  const key = keyOf(request) ?? ''
  const may = settings.keyed(key, request)
  if (may === undefined) {
    const why =
      key === '' ? 'Publishing takes a key: Authorization: Bearer KEY.' : 'This key is not known.'
    throw new AuthenticationError(why, key !== '')
  }
  const body = await jsonOf(request, settings.maxBodyBytes)
  const messages = messagesIn(streamer, body, settings.maxMessages)
  const topics = [...new Set(messages.flatMap((it) => it.topics))]
  const forbidden = topics.filter((topic) => !may(topic))
  if (forbidden.length > 0) throw new PublishForbiddenError(forbidden)

  const publish = () => publishAll(streamer, messages)
  const name = idempotencyKey(request)
  if (name === undefined || settings.remember === 0) {
    const { status, body: said } = await publish()
    answer(response, status, said)
    return
  }
  const print = createHash('sha256').update(JSON.stringify(body)).digest('base64')
  // Two publishers may choose one name.
  const { result, again } = await idempotency.once(
    `${key} ${name}`,
    print,
    settings.remember,
    publish,
  )
  if (again) response.setHeader('Idempotent-Replayed', 'true')
  answer(response, result.status, result.body)
}

/** The token of `Authorization: Bearer`. */
export function keyOf({ headers }: AnyRequest): string | undefined {
  return /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1]
}

function idempotencyKey({ headers }: AnyRequest): string | undefined {
  const value = headers['idempotency-key']
  if (value === undefined) return undefined
  if (typeof value === 'string' && /^[\x21-\x7e]{1,256}$/.test(value)) return value
  throw new BodyError('Idempotency-Key takes 1 to 256 characters of ASCII without spaces.')
}

function messagesIn(streamer: Streamer, body: unknown, most: number): Message[] {
  const list: unknown[] = Array.isArray(body) ? body : [body]
  if (list.length === 0) throw new BodyError('The body takes a message, or a list of at least one.')
  if (list.length > most)
    throw new BodyError(`The body has ${list.length} messages; one request takes ${most}.`)
  return list.map((it, index) =>
    messageFrom(streamer, it, Array.isArray(body) ? `[${index}].` : ''),
  )
}

const KEYS = ['topic', 'topics', 'data']

function messageFrom(streamer: Streamer, value: unknown, where: string): Message {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new BodyError(`${where || 'The body: '}a message is an object: {"topic", "data"}.`)
  }
  const unknown = Object.keys(value).find((key) => !KEYS.includes(key))
  if (unknown !== undefined) {
    throw new BodyError(
      `${where}${JSON.stringify(unknown.slice(0, 40))} is no field of a message. It has topic or topics, and data.`,
    )
  }
  const { topic, topics, data } = value as { topic?: unknown; topics?: unknown; data?: unknown }
  if ((topic === undefined) === (topics === undefined)) {
    throw new BodyError(`${where}topic: a message takes topic, or topics with a list.`)
  }
  const names: unknown[] = Array.isArray(topics) ? topics : [topic ?? topics]
  if (names.length === 0) throw new BodyError(`${where}topics takes a list of at least one.`)
  for (const name of names) {
    streamer.checkTopicName(name)
    if (streamer.driver.kindOf?.(name) !== 'plain' && streamer.driver.kindOf !== undefined) {
      throw new BodyError(
        `${where}topic: ${JSON.stringify(name.slice(0, 60))} stands for several topics, or is the broker's own.`,
      )
    }
  }
  if (data === undefined) throw new BodyError(`${where}data is missing: a text, or any JSON.`)
  return { topics: names as string[], data: typeof data === 'string' ? data : JSON.stringify(data) }
}

interface Published {
  readonly topics: readonly string[]
  /** The last position that the broker gave, or null where it numbers nothing. */
  readonly position: string | null
}

/** In their order: a publisher that sends two messages of a topic has them arrive so. */
async function publishAll(
  streamer: Streamer,
  messages: readonly Message[],
): Promise<{ status: number; body: object }> {
  const done: Published[] = []
  for (const { topics, data } of messages) {
    try {
      let position: string | null = null
      for (const topic of topics) position = (await streamer.publish(topic, data)).position ?? null
      done.push({ topics, position })
    } catch (error) {
      // What was published stays so: the publisher learns where to go on.
      if (done.length === 0) throw error
      const status = error instanceof UnifrostError ? error.status : 500
      return { status, body: { error: errorBody(error), published: done } }
    }
  }
  const topics = [...new Set(done.flatMap((it) => it.topics))]
  const position = done.at(-1)?.position ?? null
  return { status: 200, body: { topics, position, published: done } }
}
