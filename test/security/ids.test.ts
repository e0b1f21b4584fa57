import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Logger } from '../../src/index.js'
import { memoryDriver, Streamer } from '../../src/index.js'
import { apps, listen } from '../middleware/support/apps.js'
import { openEvents } from '../support/event-stream.js'
import { StubDriver } from '../support/stub-driver.js'
import { until } from '../support/until.js'
import { casesOr, held } from './figure.js'

const CASES = casesOr(2_000)
/** A UUID has as many bits that are not fixed by its format. */
const BITS = 122

jest.setTimeout(10 * 60_000)

/** The bits of a UUID of version 4 that are chosen at random (RFC 9562, section 5.4). */
function randomBits(id: string): string {
  expect(id).toMatch(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/)
  const bits = BigInt(`0x${id.replaceAll('-', '')}`)
    .toString(2)
    .padStart(128, '0')
  return bits.slice(0, 48) + bits.slice(52, 64) + bits.slice(66)
}

test(`ids are as random as they look (${CASES} ids)`, async () => {
  const streamer = new Streamer(memoryDriver())
  const seen = new Set<string>()
  const ones = Array.from({ length: BITS }, () => 0)
  for (let i = 0; i < CASES; i++) {
    const { id } = await streamer.newClient()
    seen.add(id)
    for (const [place, bit] of [...randomBits(id)].entries()) if (bit === '1') ones[place]!++
    await streamer.removeClient(id)
  }
  await streamer.close()
  expect(seen.size).toBe(CASES)
  const bias = Math.max(...ones.map((count) => Math.abs(count / CASES - 0.5)))
  // Six standard deviations: by chance that happens to one of a million runs.
  expect(bias).toBeLessThan(3 / Math.sqrt(CASES))
  held({
    promise: 'Ids of clients can’t be guessed',
    how: `${CASES.toLocaleString('en')} ids, bit by bit`,
    figure: `no id twice; each of the ${BITS} random bits set in 50 % ± ${(bias * 100).toFixed(2)} %`,
  })
})

/** Everything of a value that a logger could write, causes and stacks included. */
function textOf(value: unknown): string {
  if (value instanceof Error) return `${value.stack ?? ''} ${textOf(value.cause)} ${value.message}`
  if (typeof value !== 'object' || value === null) return String(value)
  return Object.entries(value)
    .map(([key, inner]) => `${key} ${textOf(inner)}`)
    .join(' ')
}

test('no id is ever in a log, whatever goes wrong', async () => {
  const lines: string[] = []
  const write = (details: object, message: string) =>
    void lines.push(`${message} ${textOf(details)}`)
  const logger: Logger = { debug: write, info: write, warn: write, error: write }
  const ids = new Set<string>()
  let streams = 0
  for (const app of apps) {
    const driver = new StubDriver()
    const streamer = new Streamer(driver, { logger, topicLinger: 0 })
    streamer.on('error', (error) => void lines.push(textOf(error)))
    streamer.on('clientCreated', (client) => void ids.add(client.id))
    for (const event of ['connect', 'disconnect', 'clientRemoved'] as const) {
      streamer.on(event, () => {
        throw new Error('a listener failed')
      })
    }
    const allow = (_principal: unknown, topic: string) => {
      if (topic === 'throws') throw new Error('authorize failed')
      return true
    }
    const server = await listen(app.build({ streamer, allow, auto: { topics: ['a'] } }))
    const { id } = await streamer.newClient({ owner: 'alice' })
    const free = await streamer.newClient()
    await streamer.subscribe(free.id, 'a')
    const post = (body: object) =>
      fetch(`${server.url}/subscriptions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
    const statuses = [
      (await fetch(`${server.url}/events?id=${id}`)).status,
      (await post({ client_id: id, add: ['b'] })).status,
      (await post({ client_id: free.id, add: ['throws'] })).status,
    ]
    expect(statuses).toEqual([403, 403, 500])
    const first = await openEvents(`${server.url}/events?id=${free.id}`)
    const second = await openEvents(`${server.url}/events?id=${free.id}`)
    const auto = await openEvents(`${server.url}/events`)
    streams += 3
    await first.end()
    driver.last('a').sink.message(Buffer.from([0xff]))
    driver.last('a').sink.gap('the link broke')
    driver.last('a').sink.fail(new Error('the broker said no'))
    await nextTurn()
    second.drop()
    auto.drop()
    await until('the streams to be gone', () => streamer.stats().connections === 0)
    await streamer.close()
    await server.close()
  }
  const telling = lines.filter((line) => [...ids].some((id) => line.includes(id)))
  expect(telling).toEqual([])
  expect(lines.length).toBeGreaterThan(5 * apps.length)
  held({
    promise: 'No id is ever in a log',
    how:
      `${apps.length} ways to use the middleware; ${streams} streams, foreign owners, callbacks, ` +
      'listeners and a broker that fail',
    figure: `0 of ${ids.size} ids in ${lines.length} log lines and error events, causes and stacks included`,
  })
})
