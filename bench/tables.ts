import type { Samples, Spread } from './samples.js'

/**
 * A table in Markdown, its columns padded as Prettier pads them.
 *
 * @param words Whether its columns hold words; all but the first hold numbers otherwise.
 */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  words = false,
): string {
  const widths = head.map((title, index) =>
    Math.max(3, title.length, ...rows.map((row) => row[index]!.length)),
  )
  const toTheLeft = (column: number) => words || column === 0
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => (toTheLeft(i) ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(' | ')} |`
  const rule = widths.map((width, i) =>
    toTheLeft(i) ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`,
  )
  return [line(head), `| ${rule.join(' | ')} |`, ...rows.map(line)].join('\n')
}

/** A number with as many digits as tell something. */
export function digits(value: number): string {
  if (value === 0) return '0'
  const size = Math.abs(value)
  if (size >= 1_000) return Math.round(value).toLocaleString('en-US')
  return size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : value.toFixed(2)
}

/** The median, and between what the rounds lay. */
export function withSpread({ median, lowest, highest }: Spread): string {
  return lowest === highest
    ? digits(median)
    : `${digits(median)} (${digits(lowest)}–${digits(highest)})`
}

/** CPU per frame of everybody in each scenario of a workload, and the ratio to the floor's. */
export function costTable(samples: Samples, workload: string, scenario: string): string {
  const rows = samples.contenders(workload, scenario).map((contender) => {
    const cost = samples.spread(workload, scenario, contender, 'cpuUs')!
    const toFloor = samples.ratio(workload, scenario, 'cpuUs', contender, 'floor')
    const rate = samples.median(workload, scenario, contender, 'framesPerSecond')
    const load = samples.median(workload, scenario, contender, 'loadCpu')
    return { contender, cost, toFloor, rate, load }
  })
  rows.sort((a, b) => a.cost.median - b.cost.median)
  return table(
    [scenario, 'CPU µs per frame', '× floor', 'frames/s', "load client's CPU"],
    rows.map(({ contender, cost, toFloor, rate, load }) => [
      contender,
      withSpread(cost),
      toFloor === undefined ? '–' : toFloor.toFixed(2),
      rate === undefined ? '–' : digits(rate),
      load === undefined ? '–' : `${Math.round(load * 100)} %`,
    ]),
  )
}
