import { isDeepStrictEqual } from 'node:util'
import { checkOptions, number } from '../../option-checks.js'
import type { ExpectedEvent, StreamEvent } from './events.js'
import type { StreamUnderTest } from './stream.js'

/** How many events an error shows at the most. */
const SHOWN = 10

/**
 * Waits for an event, and gives it. It looks behind the event that it gave last, so that two calls find
 * two events, in their order. What comes in between is passed over.
 *
 * @param event The topic, such as `'news'`; `'message'` for the Streamer's own messages.
 * @param data What the event says: its text, a pattern, or what it is as JSON. Default: anything.
 * @throws Error that says what came instead, after `timeout` (in milliseconds, by default 5,000) or at
 *   the end of the stream.
 */
export async function expectEvent(
  stream: StreamUnderTest,
  event: string | ExpectedEvent,
  data?: unknown,
  options: { timeout?: number } = {},
): Promise<StreamEvent> {
  checkOptions('expectEvent', options, { timeout: number(1, 2 ** 31 - 1) })
  const { timeout = 5_000 } = options
  const wanted: ExpectedEvent = typeof event === 'string' ? { event, data } : event
  const since = stream.events.length - stream.unread.length
  const until = performance.now() + timeout
  for (;;) {
    const index = stream.unread.findIndex((one) => fits(one, wanted))
    if (index >= 0) return stream.unread.splice(0, index + 1).at(-1)!
    const left = until - performance.now()
    if (stream.ended || left <= 0) throw missed(stream, wanted, since, timeout)
    await moreWithin(stream, left)
  }
}

function fits({ event, data }: StreamEvent, wanted: ExpectedEvent): boolean {
  if (wanted.event !== undefined && wanted.event !== event) return false
  const expected = wanted.data
  if (expected === undefined) return true
  if (expected instanceof RegExp) return new RegExp(expected.source, expected.flags).test(data)
  if (expected === data) return true
  try {
    return isDeepStrictEqual(JSON.parse(data), expected)
  } catch {
    // It is no JSON, and not the text.
    return false
  }
}

async function moreWithin(stream: StreamUnderTest, left: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, left)))
  await Promise.race([stream.more(), late])
  clearTimeout(timer)
}

function missed(
  stream: StreamUnderTest,
  { event, data }: ExpectedEvent,
  since: number,
  timeout: number,
): Error {
  const what = [
    event === undefined ? 'an event' : `the event ${JSON.stringify(event)}`,
    data === undefined
      ? ''
      : ` with ${data instanceof RegExp ? String(data) : JSON.stringify(data)}`,
  ].join('')
  if (stream.status !== 200) {
    return new Error(
      `Expected ${what}; the answer is no stream, but ${stream.status}: ${stream.text.slice(0, 500)}`,
    )
  }
  const came = stream.events.slice(since)
  const shown = came.slice(-SHOWN).map((one) => `\n  ${one.event}: ${one.data.slice(0, 200)}`)
  const when = stream.ended ? 'the stream has ended' : `${timeout} ms have passed`
  const instead =
    came.length === 0 ? ' Nothing came.' : ` What came, the newest last:${shown.join('')}`
  return new Error(`Expected ${what}; ${when}.${instead}`)
}
