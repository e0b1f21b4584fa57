import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { Streamer } from '../../../src/index.js'
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
   * undefined where that is lost in the noise.
   */
  messagesPerCore: number | undefined
  /** How many topics were opened at once; what that took, and what stood on the broker. */
  topics: number
  openMs: number
  objects: number | undefined
  closeMs: number
}

/** Where the figures of a run are put together; `scripts/driver-figures.mjs` prints them. */
const FOLDER = join(__dirname, '../../../.cache/figures')

export interface FiguresOptions {
  /** How many topics to open at once. Default: 1,000. */
  topics?: number
  /** How many messages to measure throughput with. Default: 3,000. */
  messages?: number
  /** Makes topics on a broker that needs them made. Default: `harness.topic`, else a name. */
  topic?: (label: string) => string | Promise<string>
}

/**
 * Measures a driver through its contract harness and keeps the figures for the table of
 * `docs/drivers/README.md`.
 */
export async function measureDriver(
  driver: string,
  harness: DriverHarness,
  options: FiguresOptions = {},
): Promise<Figures> {
  const { topics = 1_000, messages = 3_000 } = options
  const name = async (label: string) =>
    (await (options.topic ?? harness.topic)?.(label)) ?? `figures.${label}`
  const many = await Promise.all(Array.from({ length: topics }, (_, i) => name(`many.${i}`)))
  const figures = {
    driver,
    ...(await measureReady(harness, name)),
    ...(await measureLatency(harness, await name('latency'))),
    ...(await measureThroughput(harness, await name('through'), await name('idle'), messages)),
    ...(await measureMany(harness, many)),
  }
  await mkdir(FOLDER, { recursive: true })
  const file = driver.replaceAll(/\W+/g, '-').toLowerCase()
  await writeFile(join(FOLDER, `${file}.json`), JSON.stringify(figures) + '\n')
  return figures
}

type Name = (label: string) => Promise<string>

async function measureReady(harness: DriverHarness, name: Name) {
  const driver = await harness.create()
  const times: number[] = []
  // The first one connects, and is not counted.
  for (let i = 0; i <= 20; i++) {
    const topic = await name(`ready.${i}`)
    const start = performance.now()
    await driver.subscribe(topic, recordingSink())
    if (i > 0) times.push(performance.now() - start)
  }
  await driver.close()
  return { readyMs: quantile(times, 0.5) }
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

/** Publishing takes the same processor time with and without a reader: the rest is the reading. */
async function measureThroughput(h: DriverHarness, topic: string, idle: string, count: number) {
  const driver = await h.create()
  let received = 0
  const sink = { ...recordingSink(), message: () => void received++ }
  await driver.subscribe(topic, sink)
  const payload = Buffer.alloc(200, 'x')
  const publish = async (to: string) => {
    const start = process.cpuUsage()
    for (let sent = 0; sent < count; sent += 50) {
      await Promise.all(Array.from({ length: 50 }, async () => h.publish(to, payload)))
    }
    if (to === topic) await until('all messages', () => received >= count, 60_000)
    const { user, system } = process.cpuUsage(start)
    return user + system
  }
  await publish(idle)
  const differences: number[] = []
  for (let round = 0; round < 5; round++) {
    const without = await publish(idle)
    received = 0
    differences.push((await publish(topic)) - without)
  }
  await driver.close()
  const reading = quantile(differences, 0.5)
  // Less than a microsecond for each is less than what two runs differ by anyway.
  return { messagesPerCore: reading < count ? undefined : Math.round((count * 1e6) / reading) }
}

async function measureMany(harness: DriverHarness, topics: string[]) {
  const driver = await harness.create()
  const start = performance.now()
  await Promise.all(topics.map(async (topic) => driver.subscribe(topic, recordingSink())))
  const openMs = performance.now() - start
  const objects = await harness.leftovers?.()
  const closing = performance.now()
  await driver.close()
  const closeMs = performance.now() - closing
  if (harness.leftovers) {
    await until('nothing to be left on the broker', async () => (await harness.leftovers!()) === 0)
  }
  return { topics: topics.length, openMs, objects, closeMs }
}

function quantile(times: number[], q: number): number {
  const sorted = [...times].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!
}
