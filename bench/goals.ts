import type { Samples } from './samples.js'
import { digits, table } from './tables.js'
import { STALLED_SCENARIOS } from './workloads/stalled.js'

/** A bar, and what was measured. */
export interface Goal {
  what: string
  bound: 'at most' | 'at least'
  limit: number
  /** Follows the numbers, such as ` × floor`. */
  unit: string
  measured: number | undefined
}

const SINGLE = ['1,000 clients, single', '5,000 clients, single']
const BURSTS = ['1,000 clients, bursts of 10', '5,000 clients, bursts of 10']
const TEN_THOUSAND = '10,000 clients, single'
const TOPICS = '10,000 clients × 10 of 1,000 topics, single'
const PEERS = ['Centrifugo, SSE', 'Centrifugo, WebSocket']
const MEBIBYTES_OF_HISTORY = 64

export function goalsOf(samples: Samples): Goal[] {
  return [
    ...SINGLE.flatMap((scenario) => fanOut(samples, scenario, 1.15, 1.15, 1.4)),
    ...BURSTS.flatMap((scenario) => fanOut(samples, scenario, 1.25, 2, 4)),
    {
      what: `${TOPICS}, against one topic`,
      bound: 'at most',
      limit: 1.5,
      unit: ' ×',
      measured: over(
        samples.median('many-topics', TOPICS, 'unifrost', 'cpuUs'),
        samples.median('fan-out', TEN_THOUSAND, 'unifrost', 'cpuUs'),
      ),
    },
    ...samples.scenarios('latency').map((scenario): Goal => ({
      what: `p99 at half the saturation rate, ${scenario}`,
      bound: 'at most',
      limit: 1,
      unit: " × _loop_'s",
      measured: samples.ratio('latency', scenario, 'p99', 'unifrost', 'loop'),
    })),
    ...idle(samples),
    ...stalled(samples),
    ...samples.scenarios('reconnect').map((scenario): Goal => ({
      what: `replaying a message instead of sending it live, ${scenario}`,
      bound: 'at most',
      limit: 0.1,
      unit: ' ×',
      measured: over(
        samples.median('reconnect', scenario, 'unifrost', 'replayCpuUs'),
        samples.median('reconnect', scenario, 'unifrost', 'liveCpuUs'),
      ),
    })),
    ...PEERS.flatMap((peer) =>
      [...SINGLE, ...BURSTS].map((scenario) => better(samples, scenario, peer, 1)),
    ),
  ]
}

function fanOut(
  samples: Samples,
  scenario: string,
  floor: number,
  loop: number,
  betterSse: number,
): Goal[] {
  return [
    {
      what: scenario,
      bound: 'at most',
      limit: floor,
      unit: ' × _floor_',
      measured: samples.ratio('fan-out', scenario, 'cpuUs', 'unifrost', 'floor'),
    },
    better(samples, scenario, 'loop', loop),
    better(samples, scenario, 'better-sse', betterSse),
  ]
}

function better(samples: Samples, scenario: string, other: string, limit: number): Goal {
  return {
    what: `${scenario}, better than ${other === 'loop' ? '_loop_' : other}`,
    bound: 'at least',
    limit,
    unit: ' ×',
    measured: samples.ratio('fan-out', scenario, 'cpuUs', other, 'unifrost'),
  }
}

function idle(samples: Samples): Goal[] {
  const scenario = '10,000 connections'
  const what = 'an idle connection of 10,000, all included'
  const ours = samples.median('connections', scenario, 'unifrost', 'kilobytes')
  const theirs = samples.median('connections', scenario, 'node:http', 'kilobytes')
  return [
    { what, bound: 'at most', limit: 1.25, unit: " × `node:http`'s", measured: over(ours, theirs) },
    { what, bound: 'at most', limit: 14, unit: ' KB', measured: ours },
  ]
}

function stalled(samples: Samples): Goal[] {
  const [alone, together] = STALLED_SCENARIOS
  const of = (scenario: string, metric: string) =>
    samples.median('stalled', scenario, 'unifrost', metric)
  const peak = of(together, 'megabytes')
  const before = of(together, 'megabytesBefore')
  return [
    {
      what: 'a fifth never reads: messages that the others miss',
      bound: 'at most',
      limit: 0,
      unit: '',
      measured: of(together, 'missing'),
    },
    {
      what: 'a fifth never reads: throughput of the others',
      bound: 'at least',
      limit: 0.9,
      unit: ' × without them',
      measured: over(of(together, 'framesPerSecond'), of(alone, 'framesPerSecond')),
    },
    {
      what: "a fifth never reads: memory that is added, within the history's bound",
      bound: 'at most',
      limit: MEBIBYTES_OF_HISTORY,
      unit: ' MiB',
      measured:
        peak === undefined || before === undefined ? undefined : ((peak - before) * 1e6) / 2 ** 20,
    },
  ]
}

function over(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? undefined : one / other
}

/** Whether a bar holds, and if not, by how much it falls short. */
export function verdict({ bound, limit, measured }: Goal): string {
  if (measured === undefined) return 'not measured'
  const holds = bound === 'at most' ? measured <= limit : measured >= limit
  if (holds) return 'holds'
  if (limit === 0) return `**falls short by ${digits(measured)}**`
  return `**falls short by ${Math.ceil(Math.abs(measured / limit - 1) * 100)} %**`
}

export function goalsTable(goals: readonly Goal[]): string {
  return table(
    ['what', 'bar', 'measured', 'result'],
    goals.map((goal) => [
      goal.what,
      `${goal.bound === 'at most' ? '≤' : '≥'} ${goal.limit}${goal.unit}`,
      goal.measured === undefined ? '–' : `${digits(goal.measured)}${goal.unit}`,
      verdict(goal),
    ]),
  )
}
