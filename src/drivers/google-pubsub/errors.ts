import type { PubSub } from '@google-cloud/pubsub'
import { Code, codeOf } from './answers.js'

/** The host and port where a client looks for Pub/Sub, for errors. */
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
  if (/project id/i.test(reason)) {
    return new Error(
      `googlePubSubDriver knows no project (${reason}). Give { projectId }, or set ` +
        'GOOGLE_CLOUD_PROJECT.',
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

/** The library's words, without the notes that it adds for a lost connection. */
export function reasonOf(cause: unknown): string {
  const { details, message } = (cause ?? {}) as { details?: string; message?: string }
  const words = (details || message || String(cause)).replace(/\s+/g, ' ').trim()
  return words.replace(/\.? Resolution note:$/, '')
}
