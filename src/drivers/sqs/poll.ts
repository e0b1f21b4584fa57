import type { Message } from '@aws-sdk/client-sqs'
import { Backoff, Closings, pause } from '../../driver-kit/index.js'
import type { Aws } from './aws.js'
import { isAnswer, isGone, isRefusal } from './errors.js'

/** A queue can't be used for about a second after it was made, says AWS. */
const YOUNG = 2_000

export interface PollOptions {
  /** How long AWS may hold an answer back, in milliseconds. */
  pollTime: number
  /** How much later it may come before it counts as lost. */
  answerTimeout: number
}

export interface PollEvents {
  /** One message. It is deleted when this returns. */
  message(message: Message): void
  /** The polling has ended: an answer was lost, the queue is gone, or reading it is refused. */
  broken(error: unknown): void
}

/** Reads one queue: one long poll after the other, never two at once. */
export class Poll {
  private readonly stopping = new AbortController()
  private readonly deletions = new Closings('SQS')
  private readonly since = performance.now()

  constructor(
    private readonly aws: Aws,
    private readonly url: string,
    private readonly options: PollOptions,
    private readonly events: PollEvents,
  ) {
    void this.run()
  }

  /** Settles when all that was handed over is deleted, or after `timeout` milliseconds. */
  async stop(timeout = 0): Promise<void> {
    this.stopping.abort()
    await this.deletions.idle(timeout)
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping
    const { pollTime, answerTimeout } = this.options
    const seconds = Math.max(1, Math.round(pollTime / 1_000))
    const backoff = new Backoff()
    while (!signal.aborted) {
      try {
        const messages = await this.aws.receive(this.url, seconds, answerTimeout, signal)
        // The queue may have been deleted by now. If not, these messages are received again.
        if (signal.aborted) return
        backoff.reset()
        for (const message of messages) this.events.message(message)
        if (messages.length > 0) this.delete(messages)
      } catch (error) {
        if (signal.aborted) return
        if (!this.goesOn(error)) return this.events.broken(error)
        await pause(backoff.next(), signal)
      }
    }
  }

  /** Whether AWS has refused for now, so that it has taken no message out of the queue. */
  private goesOn(error: unknown): boolean {
    if (isGone(error)) return performance.now() - this.since < YOUNG
    return isAnswer(error) && !isRefusal(error)
  }

  /** A message that can't be deleted is delivered again, and is known by its id then. */
  private delete(messages: readonly Message[]): void {
    void this.deletions.add(this.aws.delete(this.url, messages))
  }
}
