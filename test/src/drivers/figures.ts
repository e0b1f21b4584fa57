import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { performance } from 'node:perf_hooks'
import { Streamer } from '../../../src/index.js'
import type { Driver } from '../../../src/index.js'
import { recordingSink, until } from '../../../src/testing/index.js'
import type { DriverHarness } from '../../../src/testing/index.js'
import { openEvents } from '../../support/event-stream.js'

/** What a driver was measured to do, on whatever machine the tests ran. */
export interface Figures {
  driver: string
  /** Milliseconds from `subscribe()` of a fresh topic until it is ready: median. */
  readyMs: number
  /** Milliseconds from publishing until a browser has it. */
  p50Ms: number
  p99Ms: number
  /**
   * Messages per second that would take one core whole, by the processor time that they took;
   * undefined where that is less than what publishing alone differs by from round to round.
   */
  messagesPerCore: number | undefined
  /** How many topics were opened at once; what that took, and what stood on the broker. */
  topics: number
  openMs: number
  connections: number | undefined
  objects: number | undefined
  closeMs: number
  /** What was left on the broker after that. */
  left: number | undefined
  /** Milliseconds from when a killed broker takes connections again until messages arrive. */
  backMs: number | undefined
}

/** Where the figures of a run are put together; `scripts/driver-figures.mjs` prints them. */
const FOLDER = resolve('.cache/figures')

export interface FiguresOptions {
  /** How many messages to measure throughput with. Default: 1,000. */
  messages?: number
  /** How many server processes read them. Default: 10. */
  readers?: number
  /** Names a topic, and makes it where the broker needs that. Default: `harness.topic`. */
  topic?: (label: string) => string | Promise<string>
  /** Counts the drivers' connections. Without it, they are not counted. */
  connections?: (() => number | Promise<number>) | undefined
  /** How many connections 1,000 topics may take. Default: 2. */
  maxConnections?: number
}

const TOPICS = 1_000

/**
 * Measures a driver through its contract harness and keeps the figures for the table of
 * `docs/drivers/README.md`. It rejects where one of the bounds of every driver does not hold.
 *
 * @param bound How many milliseconds a topic may take until it is ready.
 */
export async function measureDriver(
  driver: string,
  bound: number,
  harness: DriverHarness,
  options: FiguresOptions = {},
): Promise<void> {
  const name = async (label: string) =>
    (await (options.topic ?? harness.topic)?.(label)) ?? `figures.${label}`
  const made: Driver[] = []
  const create = async () => {
    const driver = await harness.create()
    made.push(driver)
    return driver
  }
  const bench = { ...harness, create }
  let figures: Figures
  try {
    const before = await harness.leftovers?.()
    figures = {
      driver,
      ...(await measureReady(bench, name, bound)),
      ...(await measureLatency(bench, await name('latency'))),
      ...(await measureThroughput(bench, await name('through'), await name('idle'), options)),
      // Before the broker has a thousand topics to come back with.
      ...(await measureReturn(bench, await name('return'))),
      ...(await measureMany(bench, await manyTopics(name), before, options)),
    }
  } finally {
    await Promise.all(made.map((driver) => driver.close()))
  }
  await mkdir(FOLDER, { recursive: true })
  const file = driver.replaceAll(/\W+/g, '-').toLowerCase()
  await writeFile(join(FOLDER, `${file}.json`), JSON.stringify(figures) + '\n')
  if (figures.readyMs >= bound) {
    throw new Error(`Ready took ${figures.readyMs} ms; it may take less than ${bound}.`)
  }
}

type Name = (label: string) => Promise<string>

async function manyTopics(name: Name): Promise<string[]> {
  const topics: string[] = []
  while (topics.length < TOPICS) {
    const labels = Array.from({ length: 20 }, (_, index) => `many-${topics.length + index}`)
    topics.push(...(await Promise.all(labels.map(name))))
  }
  return topics
}

async function measureReady(harness: DriverHarness, name: Name, bound: number) {
  const driver = await harness.create()
  let best = Infinity
  // On a machine that is busy with something else, one round says little of the driver.
  for (let round = 0; round < 3 && best >= bound; round++) {
    const times: number[] = []
    // The first one connects, and is not counted.
    for (let i = 0; i <= 20; i++) {
      const topic = await name(`ready-${round}-${i}`)
      const start = performance.now()
      await driver.subscribe(topic, recordingSink())
      if (i > 0) times.push(performance.now() - start)
    }
    best = Math.min(best, quantile(times, 0.5))
  }
  await driver.close()
  return { readyMs: best }
}

async function measureLatency(harness: DriverHarness, topic: string) {
  const streamer = new Streamer(await harness.create())
  const server = createServer((request, response) => void streamer.handle(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const client = await streamer.newClient()
  await streamer.subscribe(client.id, topic)
  const { port } = server.address() as AddressInfo
  const stream = await openEvents(`http://127.0.0.1:${port}/?id=${client.id}`)
  const times: number[] = []
  for (let i = 0; i < 200; i++) {
    const start = performance.now()
    await harness.publish(topic, Buffer.from(String(i)))
    await stream.arrived(`message ${i}`, `data: ${i}\n`)
    times.push(performance.now() - start)
  }
  await streamer.close()
  await new Promise((resolve) => server.close(resolve))
  return { p50Ms: quantile(times, 0.5), p99Ms: quantile(times, 0.99) }
}

/**
 * Publishing takes about the same processor time with and without readers: the rest is the reading.
 * There are several readers, and rounds with and without them in turn, so that it is more than two
 * rounds differ by anyway. Where it is not, it can't be told: that says nothing against the driver.
 */
async function measureThroughput(
  h: DriverHarness,
  topic: string,
  idle: string,
  { messages = 1_000, readers = 10 }: FiguresOptions,
) {
  let [round, received, gaps] = [0, 0, 0]
  // What is late of a round before must not count for this one.
  const message = (payload: string | Uint8Array) => {
    if (payload[0] === LETTERS[round] || payload[0] === LETTERS.charCodeAt(round)) received++
  }
  const sink = { ...recordingSink(), message, gap: () => void gaps++ }
  const drivers: Driver[] = []
  for (let reader = 0; reader < readers; reader++) {
    const driver = await h.create()
    drivers.push(driver)
    await driver.subscribe(topic, sink)
  }
  const publish = async (to: string, count: number) => {
    const payload = Buffer.alloc(200, LETTERS[round])
    const start = process.cpuUsage()
    for (let sent = 0; sent < count; sent += 50) {
      await Promise.all(Array.from({ length: 50 }, async () => h.publish(to, payload)))
    }
    const { user, system } = process.cpuUsage(start)
    return user + system
  }
  /** Microseconds; undefined where messages were lost on the way. */
  const read = async (count: number) => {
    ;[received, gaps] = [0, 0]
    const start = process.cpuUsage()
    await publish(topic, count)
    await until('all messages', () => received >= count * readers || gaps > 0, 60_000)
    const { user, system } = process.cpuUsage(start)
    return gaps > 0 ? undefined : user + system
  }
  // What was never run is slow the first time.
  await publish(idle, messages)
  await read(messages)
  const without: number[] = []
  const times: number[] = []
  while (times.length < 5 && ++round < LETTERS.length) {
    without.push(await publish(idle, messages))
    const time = await read(messages)
    if (time !== undefined) times.push(time)
  }
  await Promise.all(drivers.map((driver) => driver.close()))
  return { messagesPerCore: perCore(times, without, messages * readers) }
}

/** Messages per second of processor time, for `count` of them in each of the rounds. */
export function perCore(times: number[], without: number[], count: number): number | undefined {
  const noise = quantile(without, 0.75) - quantile(without, 0.25)
  const reading = quantile(times, 0.5) - quantile(without, 0.5)
  return reading > noise ? Math.round((count * 1e6) / reading) : undefined
}

/** What the messages of each round consist of. */
const LETTERS = 'abcdefghijklm'

async function measureMany(
  harness: DriverHarness,
  topics: string[],
  before: number | undefined,
  { connections, maxConnections = 2 }: FiguresOptions,
) {
  // Fewer may be left than before: a broker that was started again has forgotten some.
  const isGone = async () => ((await harness.leftovers?.()) ?? 0) <= (before ?? 0)
  const gone = () => until('nothing to be left', isGone, 20_000)
  await gone()
  const others = (await connections?.()) ?? 0
  const driver = await harness.create()
  const start = performance.now()
  await Promise.all(topics.map(async (topic) => driver.subscribe(topic, recordingSink())))
  const openMs = performance.now() - start
  const added = async () => (await connections!()) - others
  const isBounded = async () => (await added()) <= maxConnections
  if (connections) await until(`${maxConnections} connections at most`, isBounded)
  const connected = connections && (await added())
  const objects = await harness.leftovers?.()
  const closing = performance.now()
  await driver.close()
  const closeMs = performance.now() - closing
  await gone()
  return {
    topics: topics.length,
    openMs,
    connections: connected,
    objects: objects === undefined ? undefined : objects - (before ?? 0),
    closeMs,
    left: objects === undefined ? undefined : 0,
  }
}

/** How long a driver takes to be back, from when it could be. */
async function measureReturn(harness: DriverHarness, topic: string) {
  if (!harness.restart) return { backMs: undefined }
  const driver = await harness.create()
  const sink = recordingSink()
  await driver.subscribe(topic, sink)
  await harness.restart()
  const start = performance.now()
  const arrives = async () => {
    // The publisher may be on its way back too.
    await Promise.resolve(harness.publish(topic, Buffer.from('back?'))).catch(() => undefined)
    return sink.count('message') > 0
  }
  await until('a message after the restart', arrives, 30_000)
  const backMs = performance.now() - start
  await driver.close()
  return { backMs }
}

function quantile(times: number[], q: number): number {
  const sorted = [...times].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!
}
