import type { Streamer } from '../src/index.js'
import type { OptionTable, Snapshots } from '../src/for-middleware.js'
import { callback, doorOf, given } from '../src/for-middleware.js'
import { called } from './callbacks.js'
import type { PrincipalOptions, RequestContext } from './request-context.js'
import { principalOf } from './request-context.js'

/** A topic's state as it is sent: text or bytes; undefined for none. */
export type SnapshotPayload = string | Uint8Array | undefined

/** Options of a middleware that subscribes clients. */
export interface SnapshotOptions<FrameworkRequest, Principal = unknown> {
  /**
   * Loads the state of a topic when a client is subscribed to it. It is sent in its place in the stream,
   * as a message of the topic: whatever is published after this was called follows it. It comes in the
   * place of what `topics` retains, and of `messages-lost` where a position does not bring everything; it
   * is not called where the client goes on exactly. Undefined is for none. It counts for
   * `maxAuthorizeCalls`. Default: no snapshot.
   */
  snapshot?: (
    topic: string,
    principal: Principal,
    request: FrameworkRequest,
  ) => SnapshotPayload | Promise<SnapshotPayload>
}

/** The check of {@link SnapshotOptions}. */
export const SNAPSHOT_OPTIONS = {
  snapshot: given(callback('a function from a topic, a user and a request to its state')),
} satisfies OptionTable

/** What loads the states of topics for the user of a request; undefined where nothing does. */
export function snapshotsFor<Context, Principal>(
  streamer: Streamer,
  context: RequestContext<Context>,
  options: PrincipalOptions<Context, Principal> & SnapshotOptions<Context, Principal>,
): Snapshots | undefined {
  const { snapshot } = options
  if (snapshot === undefined) return undefined
  const { authorizing } = doorOf(streamer)
  const principal = principalOf(context, options) as Principal
  const load = (topic: string) => () => snapshot(topic, principal, context.frameworkRequest)
  return (topic) =>
    authorizing.run(() =>
      called('snapshot', load(topic), isSnapshot, 'text or bytes, or undefined for none'),
    )
}

function isSnapshot(value: unknown): value is SnapshotPayload {
  return value === undefined || typeof value === 'string' || value instanceof Uint8Array
}
