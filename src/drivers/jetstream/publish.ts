import type { Published } from '../../driver.js'
import type { JetStreamConnection } from '../../brokers/nats/jetstream.js'

/** What a stream answers to a message. */
interface Acknowledgement {
  readonly stream?: string
  readonly seq?: number
  readonly error?: { readonly description?: string }
}

/**
 * Publishes a message and waits until the stream has it.
 *
 * @throws Error if no stream takes the subject, or another one than is read.
 */
export async function written(
  connection: JetStreamConnection,
  subject: string,
  payload: string | Uint8Array,
  { stream, timeout }: { stream: string; timeout: number },
): Promise<Published> {
  const bytes = Buffer.from(payload as string)
  const reply = await connection.request(subject, bytes, { timeout }).catch((error: Error) => {
    throw new Error(
      `No stream has answered for the subject ${JSON.stringify(subject)} (${error.message}). Check that ` +
        `${stream} has it, and that this user may publish to it.`,
      { cause: error },
    )
  })
  const answer = acknowledgementOf(reply.data)
  if (answer.error !== undefined) {
    throw new Error(`The stream ${stream} refused a message (${answer.error.description}).`)
  }
  if (answer.stream !== stream) {
    throw new Error(
      `The subject ${JSON.stringify(subject)} is of the stream ${answer.stream ?? '(none)'}, and ` +
        `${stream} is read. Give the stream of that subject.`,
    )
  }
  return { position: String(answer.seq) }
}

function acknowledgementOf(data: Uint8Array): Acknowledgement {
  try {
    return JSON.parse(Buffer.from(data).toString()) as Acknowledgement
  } catch (error) {
    throw new Error('What answered for the subject is no stream.', { cause: error })
  }
}
