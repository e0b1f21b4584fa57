import type { AnyRequest, AnyResponse, Streamer } from '../index.js'
import {
  BodyError,
  ForbiddenTopicError,
  MethodError,
  OptionsError,
  UnifrostError,
} from '../index.js'
import { answer, errorBody, jsonOf } from './answers.js'
import type { Owners } from './owners.js'

/** Routes for an application's own server: it logs users out and changes what they have. */
export type ControlRoute = (
  streamer: Streamer,
  body: Readonly<Record<string, unknown>>,
  owners: Owners,
  /** Whether the rules allow an owner a topic. */
  allows: (owner: string, topic: string) => boolean,
) => Promise<{ status: number; body: object }>

const MAX_BYTES = 1_000_000

/** Answers a request that has shown its key. */
export async function controlRoute(
  route: ControlRoute,
  streamer: Streamer,
  request: AnyRequest,
  response: AnyResponse,
  owners: Owners,
  allows: (owner: string, topic: string) => boolean,
): Promise<void> {
  if (request.method !== 'POST') throw new MethodError(request.method ?? 'GET', ['POST'])
  const body = await jsonOf(request, MAX_BYTES)
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new BodyError('The body must be an object.')
  }
  const { status, body: said } = await route(
    streamer,
    body as Record<string, unknown>,
    owners,
    allows,
  )
  answer(response, status, said)
}

/** `{"owner"}`, `{"session"}` or `{"client_id"}`, with `for` in milliseconds: ends all of it at once. */
export const revoke: ControlRoute = async (streamer, body) => {
  checkFields(body, ['owner', 'session', 'client_id', 'for'])
  const { owner, session, client_id: id, for: time = 60_000 } = body
  const named = [owner, session, id].filter((it) => it !== undefined)
  if (named.length !== 1) throw new BodyError('The body takes one of owner, session and client_id.')
  const name = textOf(
    owner === undefined ? (session === undefined ? 'client_id' : 'session') : 'owner',
    named[0],
  )
  if (typeof time !== 'number' || !(time >= 0))
    throw new BodyError('for takes milliseconds, from 0.')
  const who = session === undefined ? name : { session: name }
  const removal = await asBody(() => streamer.revoke(who, { for: time }))
  return { status: removal.pending.length === 0 ? 200 : 202, body: removal }
}

/** `{"owner"}`, or `{}` for everybody: asks the rules again. */
export const recheck: ControlRoute = async (streamer, body) => {
  checkFields(body, ['owner'])
  const { owner } = body
  const which = owner === undefined ? {} : { owner: textOf('owner', owner) }
  const done = await asBody(() => streamer.recheck(which))
  return { status: done.pending.length === 0 ? 200 : 202, body: done }
}

/** `{"owner", "add", "remove"}`: changes the topics of an owner's clients. The rules hold for them too. */
export const subscribeOwner: ControlRoute = async (streamer, body, owners, allows) => {
  checkFields(body, ['owner', 'add', 'remove'])
  const owner = textOf('owner', body.owner)
  const [add, remove] = [
    namesOf(streamer, 'add', body.add),
    namesOf(streamer, 'remove', body.remove),
  ]
  const clients = owners.of(owner).filter((client) => !client.transient || client.connected)
  const refused: { topic: string; code: string; message: string }[] = []
  let changed = 0
  for (const client of clients) {
    for (const topic of remove) {
      if (!client.topics.includes(topic)) continue
      await streamer.unsubscribe(client.id, topic)
      changed++
    }
    for (const topic of add) {
      if (client.topics.includes(topic)) continue
      try {
        if (!allows(owner, topic)) throw new ForbiddenTopicError([topic])
        await streamer.subscribe(client.id, topic)
        changed++
      } catch (error) {
        if (!refused.some((it) => it.topic === topic)) refused.push({ topic, ...errorBody(error) })
      }
    }
  }
  return { status: 200, body: { owner, clients: clients.length, changed, refused } }
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
