import { contendersOfDocs } from './contenders-of-docs.js'
import { goalsOf, goalsTable } from './goals.js'
import type { Results } from './results.js'
import { Samples } from './samples.js'
import { digits, table, withSpread } from './tables.js'
import { STALLED_DATA } from './workloads/stalled.js'

/** Everything in docs/benchmarks.md that a run writes, part by part. */
export function sectionsOf(results: Results): string[] {
  const samples = new Samples(results.samples)
  return [
    machine(results, samples),
    '## The goals',
    goalsTable(goalsOf(samples)),
    '## Who is measured',
    table(
      ['contender', 'how'],
      contendersOfDocs().map(({ name, what }) => [name, what]),
      true,
    ),
    ...leftOut(results),
    ...fanOut(samples),
    ...manyTopics(samples),
    ...latency(samples),
    ...connections(samples),
    ...reconnect(samples),
    ...stalled(samples),
    ...surroundings(samples),
  ]
}

export function machine({ machine, versions }: Results, samples: Samples): string {
  const busiest = Math.max(...samples.all.map(({ metrics }) => metrics.loadCpu ?? 0))
  const names = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  return (
    `Measured on ${machine}; ${names.join(', ')}. Server, load client and the bench share the cores. ` +
    `The load client took ${Math.round(busiest * 100)} % of one at most.`
  )
}

function leftOut({ leftOut }: Results): string[] {
  const lines = leftOut.map(({ workload, what, why }) => `- ${what} (${workload}): ${why}`)
  return lines.length === 0 ? [] : ['Left out:', lines.join('\n')]
}

/** Who needs how much in each scenario: µs per frame, and the ratio to the floor's. */
export function costs(samples: Samples, workload: string, scenarios: readonly string[]): string {
  const names = samples.contenders(workload).filter((name) => name !== 'floor')
  const rows = ['floor', ...names].map((contender) => [
    contender,
    ...scenarios.map((scenario) => {
      const cost = samples.spread(workload, scenario, contender, 'cpuUs')
      const ratio = samples.ratio(workload, scenario, 'cpuUs', contender, 'floor')
      if (cost === undefined) return '–'
      return ratio === undefined ? withSpread(cost) : `${withSpread(cost)} ${ratio.toFixed(2)}×`
    }),
  ])
  return table(['contender', ...scenarios], rows)
}

function fanOut(samples: Samples): string[] {
  const scenarios = samples.scenarios('fan-out')
  if (scenarios.length === 0) return []
  return [
    '## One topic to many clients',
    'CPU µs per delivered frame of 200 B, and how many times that of the _floor_. ' +
      'Single messages: each one in a turn of the event loop of its own, one turn after the other. ' +
      'Bursts: 10 messages in a turn. Servers of their own have the next message once the last one has ' +
      'arrived everywhere, since their queues would join it with others.',
    '![CPU per frame, single messages](benchmarks/single.svg)',
    costs(
      samples,
      'fan-out',
      scenarios.filter((name) => name.endsWith('single')),
    ),
    '![CPU per frame, bursts of 10](benchmarks/bursts.svg)',
    costs(
      samples,
      'fan-out',
      scenarios.filter((name) => !name.endsWith('single')),
    ),
    '![CPU per frame by the number of clients](benchmarks/clients.svg)',
  ]
}

function manyTopics(samples: Samples): string[] {
  const scenarios = samples.scenarios('many-topics')
  if (scenarios.length === 0) return []
  return [
    '## Many topics',
    'Each client has 10 of 1,000 topics, chosen at random; each message goes to a random topic, 200 B. ' +
      'CPU µs per delivered frame.',
    costs(samples, 'many-topics', scenarios),
  ]
}

/** A table of metrics, a row for each contender in each scenario. */
function metricsTable(
  samples: Samples,
  workload: string,
  columns: readonly (readonly [metric: string, title: string])[],
): string {
  const rows = samples.scenarios(workload).flatMap((scenario) =>
    samples.contenders(workload, scenario).map((contender) => [
      `${scenario}: ${contender}`,
      ...columns.map(([metric]) => {
        const value = samples.spread(workload, scenario, contender, metric)
        return value === undefined ? '–' : withSpread(value)
      }),
    ]),
  )
  return table([workload, ...columns.map(([, title]) => title)], rows)
}

function latency(samples: Samples): string[] {
  if (samples.scenarios('latency').length === 0) return []
  return [
    '## Latency',
    'From publishing to reading, at half of the rate that _loop_ can keep up with flat out; the same ' +
      'rate for everybody. The last of 1,000 clients gets its message after 999 writes, which is most of it. The load client stays on one core meanwhile, or the scheduler would bring it to the server’s.',
    metricsTable(samples, 'latency', [
      ['rate', 'messages/s'],
      ['p50', 'p50 (ms)'],
      ['p99', 'p99 (ms)'],
      ['max', 'max (ms)'],
    ]),
    '![99th percentile of the latency](benchmarks/latency.svg)',
  ]
}

function connections(samples: Samples): string[] {
  if (samples.scenarios('connections').length === 0) return []
  return [
    '## Connections',
    'All come at once. Connected is who has its first message. Memory is what is resident, after ' +
      'collecting the garbage, once nothing happens any more.',
    metricsTable(samples, 'connections', [
      ['perSecond', 'connected per second'],
      ['cpuUs', 'CPU µs each'],
      ['kilobytes', 'KB each'],
      ['heapKilobytes', 'of it in the heap'],
    ]),
    '![Memory of an idle connection](benchmarks/memory.svg)',
  ]
}

function reconnect(samples: Samples): string[] {
  const [scenario] = samples.scenarios('reconnect')
  if (scenario === undefined) return []
  const of = (metric: string) => digits(samples.median('reconnect', scenario, 'unifrost', metric)!)
  return [
    '## Everybody comes back',
    `${scenario}: each message replayed costs ${of('replayCpuUs')} µs, sent live one by one ` +
      `${of('liveCpuUs')} µs. Coming back itself, a connection and a request, costs ${of('reconnectCpuUs')} µs ` +
      `each; with that, a message comes to ${of('replayAllIncluded')} µs. ${of('perSecond')} clients a second ` +
      'were back with everything they had missed.',
  ]
}

function stalled(samples: Samples): string[] {
  if (samples.scenarios('stalled').length === 0) return []
  return [
    '## A fifth never reads',
    `${STALLED_DATA}, one by one. Memory is the most that was seen meanwhile.`,
    metricsTable(samples, 'stalled', [
      ['framesPerSecond', 'frames/s to readers'],
      ['missing', 'missing'],
      ['megabytesBefore', 'MB before'],
      ['megabytes', 'MB at most'],
    ]),
  ]
}

function surroundings(samples: Samples): string[] {
  const scenarios = samples.scenarios('surroundings')
  if (scenarios.length === 0) return []
  const nginx = scenarios.map((scenario) =>
    samples.median('surroundings', scenario, 'unifrost, behind nginx', 'besidesUs'),
  )
  return [
    '## Through frameworks, HTTP/2, a proxy and a broker',
    'CPU µs of the server per delivered frame of 200 B. HTTP/2 is without TLS, a connection for each ' +
      'client. From NATS: what one message costs to receive is spread over its clients.' +
      (nginx.every((value) => value !== undefined)
        ? ` nginx itself takes ${nginx.map((value) => digits(value)).join(' and ')} µs per frame on top.`
        : ''),
    costs(samples, 'surroundings', scenarios),
  ]
}
