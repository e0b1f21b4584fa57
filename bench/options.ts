import { parseArgs } from 'node:util'
import type { Scale } from './workloads/bench-stage.js'

/** What the command line asks for. */
export interface Options {
  mode: 'full' | 'quick' | 'check' | 'baseline' | 'docs'
  /** Names of workloads. Default: all. */
  only?: readonly string[]
  /** Names of contenders. Default: all. Nothing is kept then. */
  contenders?: readonly string[]
  scale: Scale
}

export const FULL: Scale = {
  minutes: 20,
  rounds: 3,
  others: true,
  fanOut: [100, 1_000, 5_000, 10_000],
  frames: 120_000,
  manyTopics: 10_000,
  latencyBytes: [200, 4_000],
  latencySeconds: 5,
  idle: [1_000, 5_000, 10_000],
}

export const QUICK: Scale = {
  minutes: 1.75,
  rounds: 2,
  others: false,
  fanOut: [1_000],
  frames: 100_000,
  manyTopics: 2_000,
  latencyBytes: [200],
  latencySeconds: 2,
  idle: [1_000],
}

/** For comparing with the baseline: unifrost and the floor alone, often enough to trust it. */
export const CHECK: Scale = {
  ...FULL,
  rounds: 5,
  others: false,
  fanOut: [1_000, 5_000],
  frames: 100_000,
}

const COMPARED = ['unifrost', 'floor', 'unifrost, express', 'unifrost, koa']

export const USAGE = `npm run bench -- [--quick | --check | --baseline | --docs] [--only A,B] [--contenders A,B] [--rounds N]

  (nothing)      every workload, in 21 minutes at most; writes docs/benchmarks.md and docs/benchmarks/mounted.md
  --quick        the most telling ones, small, in 2 minutes at most; writes nothing
  --check        compares ratios with bench/baseline.json; fails at a loss of over 20 %
  --baseline     writes bench/baseline.json
  --docs         measures nothing; writes docs/benchmarks.md from what was measured last
  --only         only these workloads; what was measured before stays for the others
  --contenders   only these contenders; writes nothing
  --rounds       how often each is measured; writes nothing`

/** @throws TypeError for what the command line does not take. */
export function optionsFrom(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean' },
      check: { type: 'boolean' },
      baseline: { type: 'boolean' },
      docs: { type: 'boolean' },
      only: { type: 'string' },
      contenders: { type: 'string' },
      rounds: { type: 'string' },
    },
  })
  const modes = (['quick', 'check', 'baseline', 'docs'] as const).filter((name) => values[name])
  if (modes.length > 1) throw new TypeError(`--${modes.join(' and --')} do not go together.`)
  const mode = modes[0] ?? 'full'
  const scale = mode === 'quick' ? QUICK : mode === 'check' || mode === 'baseline' ? CHECK : FULL
  const rounds = values.rounds === undefined ? scale.rounds : Number(values.rounds)
  if (!Number.isInteger(rounds) || rounds < 1) {
    throw new TypeError(`--rounds takes a whole number from 1; it got ${values.rounds}.`)
  }
  const contenders = values.contenders?.split(',') ?? (scale === CHECK ? COMPARED : undefined)
  return {
    mode,
    ...(values.only !== undefined && { only: values.only.split(',') }),
    ...(contenders !== undefined && { contenders }),
    scale: { ...scale, rounds },
  }
}

/** Whether what a run measures is to be kept for the docs. */
export function isKept({ mode, contenders, scale }: Options): boolean {
  return mode === 'full' && contenders === undefined && scale.rounds === FULL.rounds
}
