/** One measurement of one contender in one round. */
export interface Sample {
  workload: string
  /** Which of the workload's cases, such as `1,000 clients, single`. */
  scenario: string
  contender: string
  round: number
  metrics: Record<string, number>
}

/** What the rounds of one contender in one scenario come to. */
export interface Spread {
  median: number
  lowest: number
  highest: number
}

export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('There is no median of nothing.')
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

export function spread(values: readonly number[]): Spread {
  return { median: median(values), lowest: Math.min(...values), highest: Math.max(...values) }
}

/** All that was measured, to be asked in many ways. */
export class Samples {
  constructor(readonly all: readonly Sample[]) {}

  /** What was measured before, with what was measured now in the place of what it repeats. */
  merge(fresh: readonly Sample[]): Samples {
    const key = ({ workload, scenario, contender }: Sample) =>
      [workload, scenario, contender].join('\0')
    const repeated = new Set(fresh.map(key))
    return new Samples([...this.all.filter((sample) => !repeated.has(key(sample))), ...fresh])
  }

  scenarios(workload: string): string[] {
    return unique(this.of(workload).map(({ scenario }) => scenario))
  }

  contenders(workload: string, scenario?: string): string[] {
    const some = this.of(workload).filter((one) => (scenario ?? one.scenario) === one.scenario)
    return unique(some.map(({ contender }) => contender))
  }

  /** A metric over the rounds, or undefined where it was not measured. */
  spread(
    workload: string,
    scenario: string,
    contender: string,
    metric: string,
  ): Spread | undefined {
    const values = this.of(workload)
      .filter((sample) => sample.scenario === scenario && sample.contender === contender)
      .map(({ metrics }) => metrics[metric])
      .filter((value) => value !== undefined)
    return values.length === 0 ? undefined : spread(values)
  }

  /** The median of a metric, or undefined where it was not measured. */
  median(workload: string, scenario: string, contender: string, metric: string) {
    return this.spread(workload, scenario, contender, metric)?.median
  }

  /** How many times as much one contender needs as another, or undefined. */
  ratio(workload: string, scenario: string, metric: string, one: string, other: string) {
    const above = this.median(workload, scenario, one, metric)
    const below = this.median(workload, scenario, other, metric)
    return above === undefined || below === undefined ? undefined : above / below
  }

  private of(workload: string): Sample[] {
    return this.all.filter((sample) => sample.workload === workload)
  }
}

function unique(values: string[]): string[] {
  return [...new Set(values)]
}
