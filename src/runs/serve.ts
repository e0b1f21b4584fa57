import { answerOf } from '../callbacks.js'
import { callbackError } from '../errors.js'
import { checkSite } from '../http/cross-site.js'
import type { AnyRequest } from '../http/request.js'
import { checkRequest, lastEventIdOf } from '../http/request.js'
import { isThenable } from '../option-checks.js'
import { ownerNameOf } from '../service/owner.js'
import { NoRunError, RunExpiredError } from './errors.js'
import type { RunFeed } from './feed.js'
import type { RunFormat } from './format.js'
import { parsePlace } from './format.js'
import type { RouteOptions } from './options.js'
import type { GoneRecord, RunRecord, RunStore } from './store.js'

/** Who asks for a run, and how. */
export interface Visitor {
  readonly request: AnyRequest
  /** The framework's own request, for the application's functions. */
  readonly frameworkRequest: unknown
  readonly name: unknown
  readonly principal: unknown
  /** The host that the browser asked for. Default: the request's `Host`. */
  readonly host?: string | undefined
}

/** What a request gets: a run from a place on, or an answer without content. */
export type Admitted = { readonly feed: RunFeed; readonly through: number } | 'nothing'

/** What an admission works on. */
export interface Admission {
  readonly store: RunStore
  readonly prefix: string
  readonly format: RunFormat
  readonly options: RouteOptions
}

/**
 * Checks a request for a run's stream, and finds the run.
 *
 * @throws MethodError, NotAcceptableError, CrossSiteError, NoRunError, RunExpiredError,
 *   CallbackError, RunStoreError.
 */
export async function admitReader(admission: Admission, visitor: Visitor): Promise<Admitted> {
  checkRequest(visitor.request)
  checkSite(visitor.request, { ...admission.options, host: visitor.host })
  try {
    return await findFor(admission, visitor)
  } catch (error) {
    const isNone = error instanceof NoRunError || error instanceof RunExpiredError
    if (isNone && admission.format.noneIsEmpty) return 'nothing'
    throw error
  }
}

async function findFor(admission: Admission, visitor: Visitor): Promise<Admitted> {
  const { store, prefix } = admission
  const { name } = visitor
  if (typeof name !== 'string') throw new NoRunError()
  const key = prefix + name
  const position = lastEventIdOf(visitor.request)
  const newest = await store.find(key)
  await checkOwner(admission, visitor, newest, name)
  if (position === undefined) {
    if (admission.options.ended === 'empty' && newest?.state === 'ended') return 'nothing'
    return from(store, newest, 0)
  }
  const place = parsePlace(position)
  if (newest === undefined) throw new NoRunError()
  if (place === undefined) throw new RunExpiredError()
  if (newest.state !== 'expired' && newest.id === place.run) {
    return from(store, newest, place.number)
  }
  // The position is of an older run of this name, which is read to its own end.
  const older = await store.get(place.run)
  if (older === undefined || older.state === 'expired' || older.key !== key) {
    throw new RunExpiredError()
  }
  await checkOwner(admission, visitor, older, name)
  return from(store, older, place.number)
}

/** A run's stream behind a part of this number. */
export async function from(
  store: RunStore,
  run: RunRecord | GoneRecord | undefined,
  number: number,
): Promise<Admitted> {
  if (run === undefined) throw new NoRunError()
  if (run.state === 'expired') throw new RunExpiredError()
  const feed = await store.feed(run.id, number)
  if (feed === undefined) throw new RunExpiredError()
  // The end counts as one more part.
  const last = feed.log.count + (feed.end === undefined ? 0 : 1)
  if (number > last) throw new RunExpiredError()
  if (feed.end !== undefined && number === last) return 'nothing'
  return { feed, through: number }
}

/** @throws NoRunError if the run is not for this user. */
async function checkOwner(
  { options: { authorize } }: Admission,
  { principal, frameworkRequest }: Visitor,
  run: RunRecord | GoneRecord | undefined,
  name: string,
): Promise<void> {
  if (run?.owner === undefined) return
  const { owner } = run
  if (ownerNameOf(principal) === owner) return
  if (authorize === undefined) throw new NoRunError()
  let allowed: unknown
  try {
    allowed = await authorize(principal, name, { owner, request: frameworkRequest })
  } catch (error) {
    throw callbackError('authorize', error)
  }
  if (allowed !== true) throw new NoRunError()
}

/** The user of a request, as the option `principal` finds it. @throws CallbackError */
export function principalOf(options: RouteOptions, request: unknown, found: unknown): unknown {
  const { principal } = options
  if (principal === undefined) return found
  return answerOf(
    'principal',
    () => principal(request),
    (value) => !isThenable(value),
    'a user',
  )
}
