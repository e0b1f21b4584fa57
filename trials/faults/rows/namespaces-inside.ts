/** The part of the fault run that runs inside a network namespace: see rows/namespaces.ts. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { until } from '../../../test/support/until.js'
import { startBroker } from '../brokers.js'
import type { Row } from '../../kit/row.js'
import { seconds, Trial, wholeness } from '../../kit/row.js'
import type { Inside } from './namespaces.js'
import { SingleServerStage } from '../single-server-stage.js'

const run = promisify(execFile)
const inside = JSON.parse(process.argv[2] ?? '{}') as Inside
const { seed, short, serverNamespace, address, device, farDevice, withoutNft } = inside
const PERCENT = 5
/** How often the kernel sends anew what nobody acknowledges, before it gives a connection up. */
const RETRIES = 3

async function pulledCable(stage: SingleServerStage): Promise<Row> {
  const trial = new Trial()
  const down = short ? 3_000 : 8_000
  await run('ip', ['link', 'set', device, 'down'])
  const pulled = performance.now()
  await until('the cable to have been out', () => performance.now() > pulled + down, 2 * down)
  // Half of the pages notice that nothing comes, and try anew.
  for (const client of stage.clients.slice(0, stage.clients.length / 2)) client.comeBack()
  const mark = new Map(stage.newest)
  await run('ip', ['link', 'set', device, 'up'])
  const began = performance.now()
  const fresh = () => stage.clients.every((c) => stage.ledger.has(c.settings.name, mark))
  await until('everybody to get something new', fresh, 60_000)
  const took = performance.now() - began
  await stage.settle()
  trial.mustBeWhole(stage.ledger)
  return {
    promise: 'A pulled cable is survived',
    how:
      `the link between clients and server is down for ${down / 1_000} s, no FIN reaches anyone, ` +
      `half of the ${stage.clients.length} clients try anew meanwhile`,
    figure: `everybody is back ${seconds(took)} after the link; ${wholeness(stage.ledger)}`,
    problems: trial.problems,
  }
}

/** What the kernel does with a peer that acknowledges nothing: Linux's default is some 15 minutes. */
async function givenUp(stage: SingleServerStage): Promise<Row> {
  const trial = new Trial()
  const setting = `net.ipv4.tcp_retries2=${RETRIES}`
  await run('ip', ['netns', 'exec', serverNamespace, 'sysctl', '-qw', setting])
  // Whoever is gone is noticed by what is sent to them.
  stage.publishOn()
  const before = (await stage.server.mustAsk({ do: 'stats' })).stats
  await run('ip', ['link', 'set', device, 'down'])
  const pulled = performance.now()
  const dropped = async () => {
    const { stats } = await stage.server.mustAsk({ do: 'stats' })
    return stats.disconnects.dropped - before.disconnects.dropped
  }
  const all = async () => (await dropped()) >= before.connections
  await until('the kernel to give up on all of them', all, 60_000)
  const took = performance.now() - pulled
  await run('ip', ['link', 'set', device, 'up'])
  // What the server has forgotten says nothing to the pages, who miss their heartbeats.
  for (const client of stage.clients) client.comeBack()
  await stage.settle()
  trial.mustBeWhole(stage.ledger)
  return {
    promise: 'A peer that vanished is let go by the kernel’s limit alone',
    how: `the cable of ${before.connections} streams is pulled, with ${setting} and no maxConnectionAge`,
    figure: `all let go after ${seconds(took)}; ${wholeness(stage.ledger)}`,
    problems: trial.problems,
  }
}

async function lostPackets(stage: SingleServerStage): Promise<Row> {
  const trial = new Trial()
  const promise = 'Packets that get lost are made up for'
  const ways: string[] = []
  const by = (await netem(ways)) ?? (await nftables(ways))
  const how = `${PERCENT} % of all packets in both directions are dropped`
  if (by === undefined) {
    return { promise, how, figure: '', problems: [], leftOut: ways.join('; ') }
  }
  stage.publishOn()
  const lasts = short ? 5_000 : 15_000
  const end = performance.now() + lasts
  let turn = 0
  await until(
    'the lossy time to be over',
    () => {
      // Pages come and go as well, so that connections are made under loss.
      if (turn++ % 10 === 0) stage.clients[turn % stage.clients.length]!.comeBack()
      return performance.now() > end
    },
    2 * lasts,
  )
  await stage.settle()
  trial.mustBeWhole(stage.ledger)
  const figure = wholeness(stage.ledger)
  return {
    promise,
    how: `${how} for ${lasts / 1_000} s, by ${by}`,
    figure,
    problems: trial.problems,
  }
}

/** What each namespace is told, in both of them. @returns its name, if the kernel can do it. */
async function inBoth(name: string, ways: string[], near: string[], far: string[]) {
  try {
    await run(near[0]!, near.slice(1))
    await run('ip', ['netns', 'exec', serverNamespace, ...far])
    return name
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string }
    ways.push(`${name}: ${(stderr || message).trim().split('\n')[0]}`)
    return undefined
  }
}

function netem(ways: string[]): Promise<string | undefined> {
  const command = (dev: string) => `tc qdisc add dev ${dev} root netem loss ${PERCENT}%`.split(' ')
  return inBoth('tc netem', ways, command(device), command(farDevice))
}

async function nftables(ways: string[]): Promise<string | undefined> {
  if (withoutNft !== undefined) {
    ways.push(`nftables: ${withoutNft}`)
    return undefined
  }
  const rules = (dev: string) =>
    'table inet loss { chain out { type filter hook output priority 0; ' +
    `oifname "${dev}" numgen random mod 100 < ${PERCENT} drop; }; }`
  const [near, far] = [rules(device), rules(farDevice)]
  return inBoth('nftables', ways, ['nft', near], ['nft', far])
}

const stage = await SingleServerStage.set({
  name: 'cable',
  broker: await startBroker('memory'),
  seed,
  clients: 40,
  topics: 20,
  each: 5,
  rate: 200,
  config: { host: address, options: { retry: { min: 50, max: 200 } } },
  launch: { prefix: ['ip', 'netns', 'exec', serverNamespace] },
})
try {
  stage.publishOn()
  await until('messages to flow', () => stage.ledger.received > 500)
  const rows = [await pulledCable(stage), await givenUp(stage), await lostPackets(stage)]
  process.stdout.write(JSON.stringify(rows))
} finally {
  await stage.strike()
}
// Left to end by itself, Node 20 may spin for ever over a pipe of tsx's compiler that has ended.
process.exit()
