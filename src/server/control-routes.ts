import type { AnyRequest, AnyResponse, Streamer, Which } from '../index.js'
import {
  BodyError,
  ForbiddenTopicError,
  MethodError,
  OptionsError,
  UnifrostError,
} from '../index.js'
import { answer, errorBody, jsonOf } from './answers.js'

/** Whether the rules allow an owner a topic; undefined is a client without one. */
export type Allows = (owner: string | undefined, topic: string) => boolean

/** Routes for an application's own server: it logs users out and changes what they have. */
export type ControlRoute = (
  streamer: Streamer,
  body: Readonly<Record<string, unknown>>,
  /** Whether the rules allow an owner a topic. */
  allows: Allows,
) => Promise<{ status: number; body: object }>

const MAX_BYTES = 1_000_000

/** Answers a request that has shown its key. */
export async function controlRoute(
  route: ControlRoute,
  streamer: Streamer,
  request: AnyRequest,
  response: AnyResponse,
  allows: Allows,
): Promise<void> {
  if (request.method !== 'POST') throw new MethodError(request.method ?? 'GET', ['POST'])
  const body = await jsonOf(request, MAX_BYTES)
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new BodyError('The body must be an object.')
  }
  const { status, body: said } = await route(streamer, body as Record<string, unknown>, allows)
  answer(response, status, said)
}

/** How a request says whose clients it means. */
const WHOSE = ['owner', 'client_id', 'session', 'label']

/** `{"owner"}`, `{"client_id"}`, `{"session"}` or `{"label": {"name": "value"}}`, as the library takes it. */
function whoseIn(body: Readonly<Record<string, unknown>>): Which | undefined {
  const named = WHOSE.filter((field) => body[field] !== undefined)
  if (named.length > 1) throw new BodyError(`The body takes one of ${WHOSE.join(', ')}.`)
  const [field] = named
  if (field === undefined) return undefined
  if (field === 'label') return labelIn(body.label)
  const name = textOf(field, body[field])
  return { [field === 'client_id' ? 'id' : field]: name }
}

function labelIn(value: unknown): Which {
  const [[name, label] = [], more] = Object.entries(Object(value) as object)
  if (typeof name === 'string' && typeof label === 'string' && more === undefined) {
    return { [name]: label }
  }
  throw new BodyError('label takes one name with its value: {"tenant": "acme"}.')
}

function needed(which: Which | undefined): Which {
  if (which !== undefined) return which
  throw new BodyError(`The body takes one of ${WHOSE.join(', ')}.`)
}

/** Ends all of it at once, and refuses its tokens for `for` milliseconds. */
export const revoke: ControlRoute = async (streamer, body) => {
  checkFields(body, [...WHOSE, 'for'])
  const { for: time = 60_000 } = body
  if (typeof time !== 'number' || !(time >= 0))
    throw new BodyError('for takes milliseconds, from 0.')
  const { id, ...which } = needed(whoseIn(body)) as { id?: string }
  const removal = await asBody(() => streamer.revoke(id ?? which, { for: time }))
  return { status: removal.pending.length === 0 ? 200 : 202, body: removal }
}

/** Asks the rules again: of those that are named, or of everybody with `{}`. */
export const recheck: ControlRoute = async (streamer, body) => {
  checkFields(body, WHOSE)
  const done = await asBody(() => streamer.recheck(whoseIn(body) ?? {}))
  return { status: done.pending.length === 0 ? 200 : 202, body: done }
}

/** `add` and `remove`: changes the topics of all clients that are meant. The rules hold for them too. */
export const subscribeWhich: ControlRoute = async (streamer, body, allows) => {
  checkFields(body, [...WHOSE, 'add', 'remove'])
  const which = needed(whoseIn(body))
  const [add, remove] = [
    namesOf(streamer, 'add', body.add),
    namesOf(streamer, 'remove', body.remove),
  ]
  const clients = await asBody(() => streamer.list(which))
  const owners = [...new Set(clients.map(({ owner }) => owner))]
  const isAllowed = (topic: string) => owners.every((owner) => allows(owner, topic))
  const added = add.filter(isAllowed)
  const refused = add
    .filter((topic) => !added.includes(topic))
    .map((topic) => ({ topic, ...errorBody(new ForbiddenTopicError([topic])) }))
  const none = { clients: clients.length, automatic: 0, pending: [] }
  const left = remove.length === 0 ? none : await asBody(() => streamer.unsubscribe(which, remove))
  const done = added.length === 0 ? left : await asBody(() => streamer.subscribe(which, added))
  const status = done.pending.length === 0 ? 200 : 202
  return { status, body: { ...done, added, removed: remove, refused } }
}

function checkFields(body: object, known: readonly string[]): void {
  const strange = Object.keys(body).find((field) => !known.includes(field))
  if (strange === undefined) return
  throw new BodyError(
    `${JSON.stringify(strange.slice(0, 40))} is no field here. There is ${known.join(', ')}.`,
  )
}

function textOf(field: string, value: unknown): string {
  if (typeof value === 'string' && value !== '') return value
  if (typeof value === 'number' && Number.isFinite(value)) return String(value)
  throw new BodyError(`${field} takes a text that is not empty.`)
}

function namesOf(streamer: Streamer, field: string, value: unknown = []): string[] {
  if (!Array.isArray(value)) throw new BodyError(`${field} takes a list of topics.`)
  return [...new Set(value)].map((name: unknown) => {
    streamer.checkTopicName(name)
    return name
  })
}

/** What the library says of its arguments is about the body here. */
async function asBody<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    if (error instanceof OptionsError && error instanceof UnifrostError) {
      throw new BodyError(error.message, { cause: error })
    }
    throw error
  }
}
