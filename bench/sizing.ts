/**
 * Measures what one process holds, and writes it into docs/sizing.md: `npx tsx bench/sizing.ts`, in
 * two minutes. Needs what `npm run bench` needs, and the package built (`npm run build`).
 */
import { readFile, writeFile } from 'node:fs/promises'
import { cpus, release } from 'node:os'
import { join } from 'node:path'
import { buildLoadClient, LoadClient } from './load-client.js'
import type { Shape } from './node-contender.js'
import { NodeContender } from './node-contender.js'
import { DOCS } from './places.js'
import { digits, table } from './tables.js'
import { median } from './samples.js'

const PAGE = join(DOCS, 'sizing.md')
const [BEGIN, END] = ['<!-- sizing: begin -->', '<!-- sizing: end -->']
const ROUNDS = 3
/** What a core may be used for, so that there is room for peaks. */
const HEADROOM = 0.6

interface Measured {
  /** Memory of the process without clients, in bytes. */
  base: number
  /** Memory of the process for each client, in bytes. */
  memory: number
  /** CPU of each connection up to its first message, in µs. */
  connectUs: number
  /** CPU of each frame, messages one by one, in µs. */
  singleUs: number
  /** The same in bursts of 10. */
  burstUs: number
}

const ONE: Shape = { clients: 10_000, topics: 1, perClient: 1 }
const TEN: Shape = { clients: 10_000, topics: 1_000, perClient: 10 }

/** Who is measured: the shape of things, and V8's settings. */
const CASES: readonly (readonly [name: string, shape: Shape, settings: string])[] = [
  ['one topic', ONE, ''],
  ['10 of 1,000 topics', TEN, ''],
  ['one topic, `--max-semi-space-size=2`', ONE, '--max-semi-space-size=2'],
  ['one topic, `--max-semi-space-size=64`', ONE, '--max-semi-space-size=64'],
]

async function measure(load: LoadClient, shape: Shape, settings: string): Promise<Measured> {
  const server = await NodeContender.start('unifrost', shape, { NODE_OPTIONS: settings })
  try {
    await load.approach({ protocol: 'sse', path: '/events?i=%d' })
    const before = await server.usage(true)
    await server.mark()
    await load.open(server.port, shape.clients)
    const { cpuUs } = await server.usage()
    const { rss } = await server.usage(true)
    const frames = shape.clients * 6
    const perMessage = (shape.clients * shape.perClient) / shape.topics
    const cost = async (burst: number) => {
      await load.reset()
      const messages = Math.ceil((frames * Math.min(burst, 4)) / perMessage)
      const { owed } = await server.publish({ messages, bytes: 200, burst })
      const seen = await load.expect(owed)
      if (!seen.complete) throw new Error(`${owed} frames were owed, and ${seen.frames} came.`)
      return (await server.usage()).cpuUs / owed
    }
    await cost(1)
    return {
      base: before.rss,
      memory: (rss - before.rss) / shape.clients,
      connectUs: cpuUs / shape.clients,
      singleUs: await cost(1),
      burstUs: await cost(10),
    }
  } finally {
    await server.stop()
    await load.close()
  }
}

const load = new LoadClient(await buildLoadClient())
const rounds = CASES.map((): Measured[] => [])
for (let round = 0; round < ROUNDS; round++) {
  for (const [index, [name, shape, settings]] of CASES.entries()) {
    const measured = await measure(load, shape, settings)
    console.log(name, measured)
    rounds[index]!.push(measured)
  }
}
load.stop()

const results = rounds.map((all) => ({
  base: median(all.map(({ base }) => base)),
  memory: median(all.map(({ memory }) => memory)),
  connectUs: median(all.map(({ connectUs }) => connectUs)),
  singleUs: median(all.map(({ singleUs }) => singleUs)),
  burstUs: median(all.map(({ burstUs }) => burstUs)),
}))
const [one, ten] = [results[0]!, results[1]!]
const kilobytes = (bytes: number) => `${(bytes / 1024).toFixed(1)} KiB`
const perSecond = (us: number) => Math.round((HEADROOM * 1e6) / us)

const costs = table(
  ['10,000 clients with', 'memory each', 'CPU to connect', 'CPU per frame', 'in bursts of 10'],
  results.map(({ memory, connectUs, singleUs, burstUs }, i) => [
    CASES[i]![0],
    kilobytes(memory),
    `${digits(connectUs)} µs`,
    `${digits(singleUs)} µs`,
    `${digits(burstUs)} µs`,
  ]),
)
const holds = table(
  ['with 60 % of a core', 'one by one', 'in bursts of 10'],
  [
    ['frames a second', digits(perSecond(one.singleUs)), digits(perSecond(one.burstUs))],
    ...[100, 1_000, 10_000].map((clients) => [
      `messages a second to a topic of ${digits(clients)} clients`,
      digits(perSecond(one.singleUs) / clients),
      digits(perSecond(one.burstUs) / clients),
    ]),
    ['clients that come back in a second', digits(perSecond(one.connectUs)), '–'],
  ],
)
const model = cpus()[0]?.model.trim() ?? 'unknown processor'
const parts = [
  `Measured on ${cpus().length} cores (${model}), Linux ${release().split('-')[0]}, Node ` +
    `${process.versions.node}, with 200 bytes to a message; medians of ${ROUNDS} rounds.`,
  costs,
  `The process itself takes ${digits(one.base / 2 ** 20)} MiB, and a further topic of a client ` +
    `${digits((ten.memory - one.memory) / (TEN.perClient - 1))} bytes.`,
  holds,
]
const text = await readFile(PAGE, 'utf8')
const before = text.slice(0, text.indexOf(BEGIN) + BEGIN.length)
const after = text.slice(text.indexOf(END))
await writeFile(PAGE, `${before}\n\n${parts.join('\n\n')}\n\n${after}`)
