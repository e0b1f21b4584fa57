import { setTimeout as pause } from 'node:timers/promises'
import type { Message } from '@aws-sdk/client-sqs'
import { Backoff } from '../../driver-kit/backoff.js'
import { within } from '../../driver-kit/within.js'
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
  private readonly deleting = new Set<Promise<void>>()
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
    if (this.deleting.size > 0) await within(Promise.all(this.deleting), timeout)
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping
    const { pollTime, answerTimeout } = this.options
    const seconds = Math.max(1, Math.round(pollTime / 1_000))
    const backoff = new Backoff()
    while (!signal.aborted) {
      try {
        const messages = await this.aws.receive(this.url, seconds, answerTimeout, signal)
        // Whoever has stopped it may have deleted the queue. These will be received again.
        if (signal.aborted) return
        backoff.reset()
        for (const message of messages) this.events.message(message)
        if (messages.length > 0) this.delete(messages)
      } catch (error) {
        if (signal.aborted) return
        if (!this.goesOn(error)) return this.events.broken(error)
        await pause(backoff.next(), undefined, { signal }).catch(ignoreStop)
      }
    }
  }

  /** AWS has said no for now, so that it has taken no message out for us. */
  private goesOn(error: unknown): boolean {
    if (isGone(error)) return performance.now() - this.since < YOUNG
    return isAnswer(error) && !isRefusal(error)
  }

  /** What can't be deleted is delivered again, and known by its id then. */
  private delete(messages: readonly Message[]): void {
    const deletion = this.aws
      .delete(this.url, messages)
      .catch(ignoreUndeleted)
      .then(() => {
        this.deleting.delete(deletion)
      })
    this.deleting.add(deletion)
  }
}

/** The loop looks at the signal. */
function ignoreStop(): void {}

/** It comes again after the visibility timeout, and the deletion with it. */
function ignoreUndeleted(): void {}
