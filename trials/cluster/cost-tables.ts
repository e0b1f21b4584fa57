import type { CostFit, CostPoint, Need } from './cost-model.js'
import {
  COST_EACH,
  COST_RATE,
  COST_SIZE,
  COST_TOPICS,
  needOf,
  RENEWAL,
  USABLE,
} from './cost-model.js'

const number = (value: number, digits = 0) =>
  value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((cell, i) =>
    Math.max(...[cell, ...rows.map((row) => row[i]!)].map((it) => it.length)),
  )
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(' | ')} |`
  const rule = `| ${widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`
  return [line(head), rule, ...rows.map(line)].join('\n')
}

/** What was measured, the lines through it, and what they come to for a million clients. */
export function costTables(
  points: readonly CostPoint[],
  fit: CostFit,
  { command, machine }: { command: string; machine: string },
): string {
  return (
    [
      `Measured by \`${command}\` on ${machine}, everything on that one machine: one Redis as broker, another ` +
        `as directory, ${COST_EACH} of ${COST_TOPICS} topics for each client, messages of ${COST_SIZE} bytes. Processor ` +
        'time is that of the servers together. Messages come evenly, and so many of them that there are ' +
        `${number(COST_RATE)} deliveries in a second: a server that is busy reads and writes several at once, which costs ` +
        'less. What the directory is asked meanwhile is leases.',
      measured(points),
      `![What was measured, and the lines through it](scaling-costs.svg)`,
      'What comes of that, for memory and idling by the straight line with the least squares:',
      fitted(fit),
      computed(fit),
    ].join('\n\n') + '\n'
  )
}

function measured(points: readonly CostPoint[]): string {
  const head = [
    'servers × clients',
    'connect, µs each',
    'come back, µs each',
    'idle, µs each per s',
    'memory, kB each',
    'message that nobody gets, µs each',
    'delivery, µs each',
    'reads of the broker for a message',
    'directory: operations to connect',
    'to come back',
    'for messages',
    'bytes each',
  ]
  const rows = points.map((it) => [
    `${it.servers} × ${number(it.clients)}`,
    number(it.connectCpu / it.clients),
    number(it.adoptCpu / it.clients),
    number(it.idleCpu / it.clients, 2),
    number(it.memory / it.clients / 1_000, 1),
    number(it.readCpu),
    number(it.messageCpu / it.deliveries, 2),
    number(it.brokerReads, 2),
    number(it.connectOperations, 2),
    number(it.adoptOperations, 2),
    number(it.messageOperations),
    number(it.directoryMemory),
  ])
  return table(head, rows)
}

function fitted(fit: CostFit): string {
  const rows: [string, string][] = [
    ['a message that a server reads, whoever gets it', `${number(fit.message)} µs`],
    ['each client that it is written to', `${number(fit.delivery, 2)} µs`],
    ['making, subscribing and connecting a client, by three requests', `${number(fit.connect)} µs`],
    ['coming back to the same server', `${number(fit.comeBack)} µs`],
    ['coming back to another server, which adopts it', `${number(fit.adopt)} µs`],
    ['a heartbeat of an idle client', `${number(fit.heartbeat, 1)} µs`],
    ['memory of a client that is connected', `${number(fit.memoryClient / 1_000, 1)} kB`],
    [
      'directory: operations to make, subscribe and connect a client',
      number(fit.connectOperations, 2),
    ],
    ['directory: operations to adopt a client', number(fit.adoptOperations, 2)],
    ['directory: operations for a server’s lease in a second', number(fit.idleOperations, 2)],
    ['directory: memory of a client', `${number(fit.directoryMemory)} bytes`],
    ['directory: processor time of Redis for an operation', `${number(fit.directoryCpu, 1)} µs`],
    [
      'broker: processor time of Redis for each message and server',
      `${number(fit.brokerCpu, 1)} µs`,
    ],
  ]
  return table(['costs', ''], rows)
}

function computed(fit: CostFit): string {
  const need: Need = {
    clients: 1_000_000,
    topics: 1_000,
    each: COST_EACH,
    perTopic: 1,
    stay: 600,
  }
  const all = needOf(fit, need)
  const asked =
    `**Computed from these lines, not measured**: ${number(need.clients)} clients on ` +
    `${number(need.topics)} topics, ${need.each} for each client, ${need.perTopic} message in a second for ` +
    `each topic, a heartbeat every 25 s, everybody comes back every ${need.stay / 60} minutes, and records of clients that stay are renewed every ${RENEWAL} s:`
  if (all.servers === Infinity) {
    return (
      `${asked} to read every message alone takes ${number(100 * all.readingEach)} % of a core of each ` +
      `server, and ${100 * USABLE} % may be used. No number of servers of one core is enough before the ` +
      'topics are split over several streams, or messages that come at once are joined.'
    )
  }
  const rows: [string, string][] = [
    ['deliveries', `${number(all.deliveries / 1e6, 1)} million in a second`],
    ['cores for deliveries', number(all.cores.deliveries, 1)],
    ['cores for heartbeats', number(all.cores.heartbeats, 2)],
    ['cores for reconnects', number(all.cores.reconnects, 1)],
    [
      'of each server, for reading every message',
      `${number(100 * all.readingEach, 1)} % of a core`,
    ],
    [`servers of one core, at ${100 * USABLE} %`, number(all.servers)],
    [
      'their memory',
      `${number(all.memory / 1e9)} GB, ${number(all.memory / 1e6 / all.servers)} MB each`,
    ],
    ['directory: operations in a second', number(all.operations)],
    ['directory: of one core of Redis', `${number(100 * all.directoryCores, 1)} %`],
    ['directory: memory', `${number(all.directoryMemory / 1e6)} MB`],
    ['broker: of one core of Redis', `${number(100 * all.brokerCores, 1)} %`],
    ['all come back at once: the servers need', `${number(all.storm.servers, 1)} s`],
    ['all come back at once: the directory needs', `${number(all.storm.directory, 1)} s`],
  ]
  return `${asked}\n\n` + `${table(['for a million clients', ''], rows)}\n\n${first(fit, need)}`
}

/** What is full first as clients grow, where what can't be spread over servers is concerned. */
function first(fit: CostFit, need: Need): string {
  const at = (of: (all: ReturnType<typeof needOf>) => number, limit: number) => {
    let clients = 1_000
    while (clients < 1e9 && of(needOf(fit, { ...need, clients })) < limit) clients *= 1.02
    return clients
  }
  const limits: [string, number][] = [
    ['the broker, which sends every message to every server', at((it) => it.brokerCores, USABLE)],
    ['the directory in quiet times', at((it) => it.directoryCores, USABLE)],
    ['the directory when all come back at once, within 30 s', at((it) => it.storm.directory, 30)],
  ]
  limits.sort(([, a], [, b]) => a - b)
  const words = limits.map(
    ([what, clients]) => `${what}: at about ${number(Math.round(clients / 1_000) * 1_000)} clients`,
  )
  return `With one core of Redis and this traffic, what is full first is ${words.join('; then ')}.`
}
