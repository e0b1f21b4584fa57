import { setTimeout as pause } from 'node:timers/promises'
import type { Subscription } from '../../driver.js'
import { Backoff } from '../../driver-kit/backoff.js'
import type { SourceEvents } from '../../driver-kit/sources.js'
import type { Aws } from './aws.js'
import { explain, isAnswer, isGone, isRefusal } from './errors.js'
import { fromQueue, PROBE, Seen } from './message.js'
import type { SqsMessage } from './message.js'
import { Poll } from './poll.js'
import type { PollOptions } from './poll.js'

const CLOSE_TIMEOUT = 1_500

/**
 * A queue of the user's, which all servers that read it share: each message goes to one of them.
 * It keeps what was not deleted, so a link that is lost costs time and no messages.
 */
export async function openSharedQueue(
  aws: Aws,
  url: string,
  options: PollOptions,
  events: SourceEvents<SqsMessage>,
): Promise<Subscription> {
  const stopping = new AbortController()
  const seen = new Seen()
  const backoff = new Backoff()
  try {
    await aws.queueArn(url)
  } catch (error) {
    throw explain(`Reading ${url}`, aws.where, error)
  }
  let poll = read()

  function read(): Poll {
    return new Poll(aws, url, options, {
      message(received) {
        backoff.reset()
        const message = fromQueue(url, received)
        if (message.attributes[PROBE] === undefined && seen.add(message.id)) events.message(message)
      },
      broken(error) {
        if (isGone(error) || (isAnswer(error) && isRefusal(error))) {
          events.fail(explain(`Reading ${url}`, aws.where, error))
        } else void readAgain()
      },
    })
  }

  async function readAgain(): Promise<void> {
    await pause(backoff.next(), undefined, { signal: stopping.signal }).catch(ignoreStop)
    if (!stopping.signal.aborted) poll = read()
  }

  return {
    async close() {
      stopping.abort()
      await poll.stop(CLOSE_TIMEOUT)
    },
  }
}

/** Whoever pauses looks at the signal. */
function ignoreStop(): void {}
