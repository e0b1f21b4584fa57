/**
 * Where the CPU time of a publish goes, by V8's own profiler, written into docs/benchmarks.md:
 * `npx tsx bench/profile.ts`, in a minute. Needs what `npm run bench` needs, and the package built.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { Profiler } from 'node:inspector'
import { Session } from 'node:inspector/promises'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import type * as Package from '../src/index.js'
import { buildLoadClient, LoadClient } from './load-client.js'
import { DOCS } from './places.js'
import { table } from './tables.js'

const BUILT = '../dist/esm/src/index.js'
const PAGE = join(DOCS, 'benchmarks.md')
const [BEGIN, END] = ['<!-- profile: begin -->', '<!-- profile: end -->']
const SAMPLING_US = 100

const CASES = [
  { name: '2,000 clients, one by one', clients: 2_000, topics: 1, each: 1, burst: 1, turns: 100 },
  { name: '1,000, bursts of 10', clients: 1_000, topics: 1, each: 1, burst: 10, turns: 100 },
  { name: '2,000 × 10 of 200', clients: 2_000, topics: 200, each: 10, burst: 20, turns: 60 },
]
type Case = (typeof CASES)[number]

const PARTS = [
  "the kernel's `write`",
  "Node's streams",
  'unifrost',
  'garbage collection',
  'the rest',
] as const
type Part = (typeof PARTS)[number]

function partOf({ functionName, url }: Profiler.ProfileNode['callFrame']): Part | undefined {
  if (functionName === '(idle)') return undefined
  if (functionName === '(garbage collector)') return 'garbage collection'
  // Of Node's own functions in C++ the one that calls `write`.
  if (functionName === 'writeBuffer') return "the kernel's `write`"
  if (/\/dist\/(esm|cjs)\//.test(url)) return 'unifrost'
  return url.startsWith('node:') ? "Node's streams" : 'the rest'
}

function sharesOf(profile: Profiler.Profile): Map<Part, number> {
  const times = new Map<Part, number>()
  const nodes = new Map(profile.nodes.map((node) => [node.id, node.callFrame]))
  let total = 0
  for (const [index, id] of profile.samples!.entries()) {
    const part = partOf(nodes.get(id)!)
    if (part === undefined) continue
    const time = Math.max(0, profile.timeDeltas![index]!)
    times.set(part, (times.get(part) ?? 0) + time)
    total += time
  }
  return new Map([...times].map(([part, time]) => [part, time / total]))
}

async function profiled(load: LoadClient, one: Case): Promise<Map<Part, number>> {
  const { Streamer, memoryDriver } = (await import(BUILT)) as typeof Package
  const driver = memoryDriver()
  const streamer = new Streamer(driver)
  for (let i = 0; i < one.clients; i++) {
    await streamer.newCustomClient(`${i}`)
    for (let k = 0; k < one.each; k++) {
      await streamer.subscribe(`${i}`, `topic ${(i * 7 + k * (i + 1)) % one.topics}`)
    }
  }
  const server = createServer((request, response) => void streamer.handle(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', 4_096, resolve))
  await load.approach({ protocol: 'sse', path: '/events?id=%d' })
  await load.open((server.address() as AddressInfo).port, one.clients)
  const publish = async (turns: number) => {
    for (let i = 0; i < turns * one.burst; i++) {
      driver.publish(`topic ${(i * 31) % one.topics}`, 'x'.repeat(200))
      if (i % one.burst === one.burst - 1) await turn()
    }
  }
  await publish(one.turns)
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.setSamplingInterval', { interval: SAMPLING_US })
  await session.post('Profiler.start')
  await publish(one.turns)
  const { profile } = await session.post('Profiler.stop')
  session.disconnect()
  await load.close()
  await streamer.close()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  return sharesOf(profile)
}

const load = new LoadClient(await buildLoadClient())
const columns: Map<Part, number>[] = []
for (const one of CASES) columns.push(await profiled(load, one))
load.stop()

const shares = table(
  ['CPU time of the server', ...CASES.map(({ name }) => name)],
  PARTS.map((part) => [
    part,
    ...columns.map((column) => `${((column.get(part) ?? 0) * 100).toFixed(1)} %`),
  ]),
)
console.log(shares)
const text = await readFile(PAGE, 'utf8')
const before = text.slice(0, text.indexOf(BEGIN) + BEGIN.length)
const after = text.slice(text.indexOf(END))
await writeFile(PAGE, `${before}\n\n${shares}\n\n${after}`)
