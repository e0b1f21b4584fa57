import type { Message } from '@aws-sdk/client-sqs'
import type { Subscription } from '../../driver.js'
import { Backoff, pause, SeenIds } from '../../driver-kit/index.js'
import type { SourceEvents } from '../../driver-kit/index.js'
import type { Aws } from './aws.js'
import { explain, isAnswer, isGone, isRefusal } from './errors.js'
import { fromQueue, PROBE, SEEN } from './message.js'
import type { SqsMessage } from './message.js'
import { Poll } from './poll.js'
import type { PollOptions } from './poll.js'

const CLOSE_TIMEOUT = 1_500

/**
 * A queue of the user's, which all servers that read it share: each message goes to one of them.
 * It keeps what was not deleted, so a link that is lost costs time and no messages.
 */
export class SharedQueue implements Subscription {
  private readonly stopping = new AbortController()
  private readonly seen = new SeenIds(SEEN)
  private readonly backoff = new Backoff()
  private poll: Poll

  private constructor(
    private readonly aws: Aws,
    private readonly url: string,
    private readonly options: PollOptions,
    private readonly events: SourceEvents<SqsMessage>,
  ) {
    this.poll = this.read()
  }

  /** Begins to read a queue, which has to be there. */
  static async open(
    aws: Aws,
    url: string,
    options: PollOptions,
    events: SourceEvents<SqsMessage>,
  ): Promise<SharedQueue> {
    try {
      await aws.queueArn(url)
    } catch (error) {
      throw explain(`Reading ${url}`, aws.where, error)
    }
    return new SharedQueue(aws, url, options, events)
  }

  async close(): Promise<void> {
    this.stopping.abort()
    await this.poll.stop(CLOSE_TIMEOUT)
  }

  private read(): Poll {
    return new Poll(this.aws, this.url, this.options, {
      message: (received) => this.message(received),
      broken: (error) => this.broke(error),
    })
  }

  private message(received: Message): void {
    this.backoff.reset()
    const message = fromQueue(this.url, received)
    if (message.attributes[PROBE] !== undefined || !this.seen.add(message.id)) return
    this.events.message(message)
  }

  private broke(error: unknown): void {
    if (isGone(error) || (isAnswer(error) && isRefusal(error))) {
      this.events.fail(explain(`Reading ${this.url}`, this.aws.where, error))
    } else void this.readAgain()
  }

  private async readAgain(): Promise<void> {
    const { signal } = this.stopping
    await pause(this.backoff.next(), signal)
    if (!signal.aborted) this.poll = this.read()
  }
}
