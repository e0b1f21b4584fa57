import { Backoff, retryUntil } from '../../driver-kit/index.js'
import { apiErrorOf, NAME_IN_USE, reasonOf } from '../../brokers/nats/jetstream.js'
import type {
  JetStreamConnection,
  JetStreamManager,
  StreamInfo,
} from '../../brokers/nats/jetstream.js'

export interface StreamSettings {
  readonly stream: string
  /** How to make the stream where there is none. */
  readonly create: object | undefined
}

/** What the stream says of itself. It is made if it is not there and the user gave `create`. */
export async function found(
  { streams }: JetStreamManager,
  { stream, create }: StreamSettings,
): Promise<StreamInfo> {
  try {
    return await streams.info(stream)
  } catch (error) {
    if (create === undefined || reasonOf(error).kind !== 'gone') throw error
    await streams.add({ ...create, name: stream }).catch((refusal: unknown) => {
      // Another server may have been first, with other settings.
      if (apiErrorOf(refusal)?.err_code !== NAME_IN_USE) throw refusal
    })
    return streams.info(stream)
  }
}

/** What `ask` gives. It is called again until `deadline` while nobody answers. */
export function asked(
  ask: () => Promise<StreamInfo>,
  deadline: number,
  signal: AbortSignal,
): Promise<StreamInfo> {
  return retryUntil(deadline, ask, {
    again: (error) => reasonOf(error).kind === 'lost',
    backoff: new Backoff({ first: 50, cap: 200 }),
    signal,
  })
}

/** Why a stream can't be read, and what to do. */
export function said(connection: JetStreamConnection, stream: string, error: unknown): Error {
  const { kind, words } = reasonOf(error)
  const server = `NATS at ${connection.getServer()}`
  const name = JSON.stringify(stream)
  const message = {
    gone: `${server} has no stream ${name}. Create it, or give create: { subjects }.`,
    denied:
      `${server} does not let this connection read stream ${name} (${words}). ` +
      'Allow what the page of this driver lists in the permissions of the user.',
    disabled: `${server} has no JetStream for this account (${words}). Enable it there.`,
    refused: `${server} refused to let stream ${name} be read (${words}).`,
    lost:
      `${server} did not open stream ${name} in time (${words}). ` +
      'Check that it is up and reachable.',
  }[kind]
  return new Error(message, { cause: error })
}
