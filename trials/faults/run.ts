/** `npm run test:faults`: breaks everything that can break, and checks what clients get. */
import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import type { Broker, BrokerKind } from './brokers.js'
import { startBroker } from './brokers.js'
import type { Context } from './context.js'
import type { Row } from '../kit/row.js'
import { blocked } from './rows/blocked.js'
import { brokerBreaks } from './rows/broker-breaks.js'
import { callbacks } from './rows/callbacks.js'
import { clock } from './rows/clock.js'
import { connections } from './rows/connections.js'
import { descriptors } from './rows/descriptors.js'
import { namespaces } from './rows/namespaces.js'
import { randomRun } from './rows/random-run.js'
import { sigkill, sigterm } from './rows/server-end.js'
import { writeRows } from '../kit/page.js'
import type { Parts } from '../kit/parts.js'
import { conclude, namesOf, runParts, say } from '../kit/parts.js'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string' },
    clients: { type: 'string', default: '500' },
    brokers: { type: 'string', default: 'memory,nats,rabbitmq' },
    only: { type: 'string' },
    short: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
})

const KINDS: readonly BrokerKind[] = ['memory', 'nats', 'rabbitmq']
const brokers = values.brokers.split(',').map((name) => {
  const kind = KINDS.find((it) => it === name)
  if (kind === undefined) throw new Error(`--brokers takes ${KINDS.join(', ')}; it got ${name}.`)
  return kind
})

function numberOf(name: 'seconds' | 'clients', text: string): number {
  const number = Number(text)
  if (number >= 1 && number <= 100_000) return number
  throw new Error(`--${name} takes a number from 1; it got ${text}.`)
}

const seed = values.seed === undefined ? randomInt(1_000_000) : Number(values.seed)
if (!Number.isInteger(seed)) throw new Error(`--seed takes a whole number; it got ${values.seed}.`)

const context: Context = {
  seed,
  duration: numberOf('seconds', values.seconds) * 1_000,
  short: values.short,
  clients: numberOf('clients', values.clients),
  brokers,
  say,
}

const running: Broker[] = []
async function allBrokers(): Promise<Broker[]> {
  if (running.length === 0) running.push(...(await Promise.all(brokers.map(startBroker))))
  return running
}

const parts: Parts = {
  random: async () => randomRun(context, await allBrokers()),
  brokers: async () => {
    const breakable = (await allBrokers()).filter((broker) => broker.process !== undefined)
    return Promise.all(breakable.map((broker) => brokerBreaks(context, broker)))
  },
  connections: () => connections(context),
  sigterm: () => sigterm(context),
  sigkill: () => sigkill(context),
  descriptors: () => descriptors(context),
  clock: () => clock(context),
  blocked: () => blocked(context),
  callbacks: () => callbacks(context),
  namespaces: () => namespaces(context),
}

const names = namesOf(parts, values.only)
const command = ['npm run test:faults --', `--seconds ${values.seconds} --seed ${seed}`]
if (values.short) command.push('--short')
if (values.clients !== '500') command.push(`--clients ${values.clients}`)
if (values.only !== undefined) command.push(`--only ${values.only}`)

say(`seed ${seed}: ${command.join(' ')} comes to the same schedule`)
/**
 * One after the other, so that no figure suffers from another part; the short form has no time for
 * that, and its figures are published nowhere.
 */
async function runAll(): Promise<Row[]> {
  if (!context.short) return runParts(parts, names)
  const hasBroker = (name: string) => name === 'random' || name === 'brokers'
  const lanes = [names.filter(hasBroker), names.filter((name) => !hasBroker(name))]
  return (await Promise.all(lanes.map((lane) => runParts(parts, lane)))).flat()
}

try {
  const rows = await runAll()
  if (conclude(rows) && values.write) {
    await writeRows(rows, command.join(' '), values.only === undefined)
  }
} finally {
  await Promise.all(running.map((broker) => broker.stop()))
}
// Left to end by itself, Node 20 may spin for ever over a pipe of tsx's compiler that has ended.
process.exit()
