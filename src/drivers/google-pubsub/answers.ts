import type { PubSub } from '@google-cloud/pubsub'
import { within } from '../../driver-kit/within.js'

/** The gRPC codes that make a difference here. */
export const Code = {
  Cancelled: 1,
  DeadlineExceeded: 4,
  NotFound: 5,
  PermissionDenied: 7,
  ResourceExhausted: 8,
  FailedPrecondition: 9,
  Aborted: 10,
  Internal: 13,
  Unavailable: 14,
  Unauthenticated: 16,
} as const

const PASSING: readonly unknown[] = [
  Code.Cancelled,
  Code.DeadlineExceeded,
  Code.ResourceExhausted,
  Code.Aborted,
  Code.Internal,
  Code.Unavailable,
]

/** No answer in time: what the library says as `DEADLINE_EXCEEDED`, and what it says not at all. */
class SilenceError extends Error {
  readonly code = Code.DeadlineExceeded
}

/**
 * What a call gives, or an error, within `timeout`: getting credentials has no deadline of its
 * own in the library.
 */
export async function answered<T>(calling: Promise<T>, timeout: number): Promise<T> {
  const outcome = await within(
    calling.then(() => 'done' as const),
    timeout,
  )
  if (outcome === 'late') throw new SilenceError(`no answer within ${Math.round(timeout)} ms`)
  return calling
}

/** One try, and no longer than that: when to try again is decided here. */
export function once(timeout: number): { timeout: number; retry: null } {
  return { timeout: Math.max(1, Math.round(timeout)), retry: null }
}

export function codeOf(error: unknown): number | undefined {
  const code = (error as { code?: unknown } | undefined)?.code
  return typeof code === 'number' ? code : undefined
}

/** Whether the same call may go well a little later. */
export function isPassing(error: unknown): boolean {
  return PASSING.includes(codeOf(error))
}

/** Where a client looks for Pub/Sub, for people. */
export function whereIs(pubsub: PubSub): string {
  const { servicePath = 'pubsub.googleapis.com', port = 443 } = pubsub.options
  return `${servicePath}:${port}`
}

/** Why the first contact failed, and what to do. */
export function contactError(pubsub: PubSub, cause: unknown): Error {
  const where = whereIs(pubsub)
  const reason = reasonOf(cause)
  const code = codeOf(cause)
  if (code === Code.Unavailable || code === Code.DeadlineExceeded) {
    return new Error(
      `No Google Pub/Sub could be reached at ${where} (${reason}). Start it if it is an ` +
        'emulator, correct apiEndpoint or PUBSUB_EMULATOR_HOST, or look at the network.',
      { cause },
    )
  }
  return new Error(
    `Google Pub/Sub at ${where} could not be used with these credentials (${reason}). Set ` +
      'GOOGLE_APPLICATION_CREDENTIALS, run `gcloud auth application-default login`, or give ' +
      'keyFilename or credentials, and projectId.',
    { cause },
  )
}

/** Why a subscription could not be made, and what to do. */
export function createError(pubsub: PubSub, source: string, cause: unknown): Error {
  const reason = reasonOf(cause)
  const name = JSON.stringify(source)
  const code = codeOf(cause)
  const where = `project ${pubsub.projectId} at ${whereIs(pubsub)}`
  if (code === Code.NotFound) {
    return new Error(
      `There is no topic ${name} in ${where} (${reason}). Create it, with ` +
        `\`gcloud pubsub topics create ${source}\` for one, or correct the name.`,
      { cause },
    )
  }
  if (code === Code.PermissionDenied || code === Code.Unauthenticated) {
    return new Error(
      `Google Pub/Sub does not let these credentials subscribe to ${name} in ${where} ` +
        `(${reason}). They need pubsub.subscriptions.create on the project and ` +
        'pubsub.topics.attachSubscription on the topic.',
      { cause },
    )
  }
  if (code === Code.Unavailable || code === Code.DeadlineExceeded) {
    return new Error(
      `Google Pub/Sub at ${whereIs(pubsub)} did not make a subscription to ${name} in time ` +
        `(${reason}). Try again, and check that it is up and reachable.`,
      { cause },
    )
  }
  return new Error(
    `Google Pub/Sub refused a subscription to ${name} in ${where} (${reason}). Correct what it ` +
      'names, or raise the quota that it names.',
    { cause },
  )
}

/** The library's words, which for a lost connection stand at the end of a long story. */
export function reasonOf(cause: unknown): string {
  const { details, message } = (cause ?? {}) as { details?: string; message?: string }
  const words = (details || message || String(cause)).replace(/\s+/g, ' ').trim()
  return words.replace(/\.? Resolution note:$/, '')
}
