/**
 * `npm run test:cluster`: three servers behind a load balancer, and all that may befall them.
 * `-- --costs` measures what clients and messages cost instead, `-- --orders` whether a client
 * could be handed over without a log; `--write` keeps the figures in docs/scaling.md.
 */
import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { bounded } from '../kit/bounded.js'
import { writeRows } from '../kit/page.js'
import type { Parts } from '../kit/parts.js'
import { conclude, namesOf, runParts, say } from '../kit/parts.js'
import type { Context } from './on-fleet.js'
import { costs } from './costs.js'
import type { Engine, EngineKind } from './engine.js'
import { startEngine } from './engines.js'
import { orders } from './orders.js'
import { cutOff } from './rows/cut-off.js'
import { engineAway } from './rows/engine-away.js'
import { frozen } from './rows/frozen.js'
import { hopper } from './rows/hopper.js'
import { killed, rolling } from './rows/server-ends.js'
import { storm } from './rows/storm.js'

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    clients: { type: 'string', default: '300' },
    only: { type: 'string' },
    short: { type: 'boolean', default: false },
    costs: { type: 'boolean', default: false },
    orders: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
})

const seed = values.seed === undefined ? randomInt(1_000_000) : Number(values.seed)
if (!Number.isInteger(seed)) throw new Error(`--seed takes a whole number; it got ${values.seed}.`)
const clients = Number(values.clients)
if (!(clients >= 10 && clients <= 1_000)) {
  throw new Error(`--clients takes 10 to 1000; it got ${values.clients}.`)
}

// Each server and each engine sees to it that it does not outlive this process.
process.setMaxListeners(50)
const engines = new Map<EngineKind, Promise<Engine>>()
const context: Context = {
  seed,
  short: values.short,
  clients,
  say,
  async engine(kind) {
    const running = engines.get(kind) ?? startEngine(kind)
    engines.set(kind, running)
    return running
  },
}

const parts: Parts = {
  'rolling-jetstream': () => rolling(context, 'jetstream'),
  'rolling-redis': () => rolling(context, 'redis'),
  'rolling-nats': () => rolling(context, 'nats'),
  'rolling-nginx': () => rolling(context, 'redis', 'nginx'),
  'killed-jetstream': () => killed(context, 'jetstream'),
  'killed-redis': () => killed(context, 'redis'),
  'killed-nats': () => killed(context, 'nats'),
  'frozen-jetstream': () => frozen(context, 'jetstream'),
  'frozen-redis': () => frozen(context, 'redis'),
  'cut-off': () => cutOff(context),
  'away-jetstream': () => engineAway(context, 'jetstream'),
  'away-redis': () => engineAway(context, 'redis'),
  'away-nats': () => engineAway(context, 'nats'),
  'storm-jetstream': () => storm(context, 'jetstream'),
  'storm-redis': () => storm(context, 'redis'),
  'hopper-jetstream': () => hopper(context, 'jetstream'),
  'hopper-redis': () => hopper(context, 'redis'),
}
/** What the shorter form has time for: everything once. */
const SHORT = [
  ...['rolling-jetstream', 'rolling-nginx', 'killed-redis', 'frozen-redis', 'cut-off'],
  ...['away-jetstream', 'away-nats', 'storm-redis', 'hopper-jetstream'],
]

async function allRows(): Promise<void> {
  const usual = values.short ? SHORT : Object.keys(parts)
  const rows = await runParts(parts, namesOf(parts, values.only, usual))
  if (!conclude(rows) || !values.write) return
  const command = `npm run test:cluster -- --seed ${seed}`
  await writeRows(rows, command, values.only === undefined, 'scaling.md', 'cluster')
}

try {
  if (values.costs) await costs({ short: values.short, write: values.write, say })
  else if (values.orders) await orders(values.write, say)
  else await allRows()
} finally {
  for (const engine of engines.values()) await bounded((await engine).stop(), 20_000)
}
// A connection to an engine that is no more may go on looking for it.
process.exit()
