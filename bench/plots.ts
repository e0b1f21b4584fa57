import type { Bar, Line } from './plot.js'
import { barChart, lineChart } from './plot.js'
import type { Samples } from './samples.js'
import { count } from './workloads/bench-stage.js'

/** The plots that can be made of what was measured, by file name. */
export function plotsOf(samples: Samples): Record<string, string> {
  const plots: Record<string, string> = {}
  const costs = (name: string, kind: string, title: string) => {
    const panels = [1_000, 5_000].map((clients) => ({
      title: `${count(clients)} clients`,
      bars: barsOf(samples, 'fan-out', `${count(clients)} clients, ${kind}`, 'cpuUs'),
    }))
    add(plots, name, title, panels)
  }
  costs('single', 'single', 'CPU of the server per frame: single messages (µs)')
  costs('bursts', 'bursts of 10', 'CPU of the server per frame: bursts of 10 (µs)')
  const panelsOf = (workload: string, metric: string) =>
    samples
      .scenarios(workload)
      .map((title) => ({ title, bars: barsOf(samples, workload, title, metric) }))
  add(plots, 'latency', '99th percentile of the latency (ms)', panelsOf('latency', 'p99'))
  add(
    plots,
    'memory',
    'Resident memory of an idle connection (KB)',
    panelsOf('connections', 'kilobytes'),
  )
  const lines = linesOf(samples)
  if (lines.length > 0) {
    plots['clients.svg'] = lineChart(
      'CPU of the server per frame, by the number of clients',
      'µs per frame, single messages; clients on a logarithmic scale',
      lines,
    )
  }
  return plots
}

function add(
  plots: Record<string, string>,
  name: string,
  title: string,
  panels: readonly { title: string; bars: readonly Bar[] }[],
): void {
  const some = panels.filter(({ bars }) => bars.length > 0)
  if (some.length > 0) plots[`${name}.svg`] = barChart(title, some)
}

function barsOf(samples: Samples, workload: string, scenario: string, metric: string): Bar[] {
  return samples
    .contenders(workload, scenario)
    .flatMap((label): Bar[] => {
      const found = samples.spread(workload, scenario, label, metric)
      if (found === undefined) return []
      const { median: value, lowest, highest } = found
      return [{ label, value, lowest, highest, ours: label === 'unifrost' }]
    })
    .sort((a, b) => a.value - b.value)
}

function linesOf(samples: Samples): Line[] {
  return ['unifrost', 'floor', 'loop', 'better-sse'].flatMap((label): Line[] => {
    const points = samples.scenarios('fan-out').flatMap((scenario) => {
      const clients = /^([\d,]+) clients, single$/.exec(scenario)?.[1]
      const y = samples.median('fan-out', scenario, label, 'cpuUs')
      if (clients === undefined || y === undefined) return []
      return [{ x: Number(clients.replaceAll(',', '')), y }]
    })
    return points.length === 0 ? [] : [{ label, points, ours: label === 'unifrost' }]
  })
}
