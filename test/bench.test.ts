import { compare, ratiosOf } from '../bench/check.js'
import { goalsOf, verdict } from '../bench/goals.js'
import { mountedGoals } from '../bench/mounted-goals.js'
import { isKept, optionsFrom } from '../bench/options.js'
import { barChart, lineChart } from '../bench/plot.js'
import type { Sample } from '../bench/samples.js'
import { median, Samples, spread } from '../bench/samples.js'
import { digits, table, withSpread } from '../bench/tables.js'

const scenario = '1,000 clients, single'

function sample(contender: string, cpuUs: number, round = 0): Sample {
  return { workload: 'fan-out', scenario, contender, round, metrics: { cpuUs } }
}

describe('the statistics of the bench', () => {
  test('a median stands in the middle, or between the two that do', () => {
    expect(median([3, 1, 2])).toBe(2)
    expect(median([4, 1, 2, 3])).toBe(2.5)
    expect(() => median([])).toThrow(RangeError)
    expect(spread([5, 1, 3])).toEqual({ median: 3, lowest: 1, highest: 5 })
  })

  test('a ratio is that of the medians, and is not made up where one is missing', () => {
    const samples = new Samples([
      sample('unifrost', 6),
      sample('unifrost', 5, 1),
      sample('unifrost', 20, 2),
      sample('floor', 4),
    ])
    expect(samples.ratio('fan-out', scenario, 'cpuUs', 'unifrost', 'floor')).toBe(1.5)
    expect(samples.ratio('fan-out', scenario, 'cpuUs', 'unifrost', 'loop')).toBeUndefined()
    expect(samples.ratio('fan-out', scenario, 'rss', 'unifrost', 'floor')).toBeUndefined()
    expect(samples.contenders('fan-out')).toEqual(['unifrost', 'floor'])
  })

  test('a later run takes the place of what it repeats, and of nothing else', () => {
    const before = new Samples([sample('unifrost', 6), sample('unifrost', 7, 1), sample('loop', 9)])
    const { all } = before.merge([sample('unifrost', 5)])
    expect(all).toEqual([sample('loop', 9), sample('unifrost', 5)])
  })

  test('numbers show as many digits as tell something', () => {
    expect([0, 0.126, 12.34, 123.4, 12_345].map(digits)).toEqual([
      '0',
      '0.13',
      '12.3',
      '123',
      '12,345',
    ])
    expect(withSpread({ median: 2, lowest: 1.5, highest: 3 })).toBe('2.00 (1.50–3.00)')
    expect(withSpread({ median: 2, lowest: 2, highest: 2 })).toBe('2.00')
  })

  test('a table is padded as Prettier pads it', () => {
    expect(table(['who', 'µs'], [['floor', '4.3']])).toBe(
      ['| who   |  µs |', '| ----- | --: |', '| floor | 4.3 |'].join('\n'),
    )
  })
})

describe('the check against the baseline', () => {
  const ratios = ratiosOf(new Samples([sample('unifrost', 6), sample('floor', 4)]))

  test('compares ratios to the floor', () => {
    expect(ratios).toEqual({ [`fan-out: ${scenario}`]: 1.5 })
  })

  test.each([
    { before: 1.5, holds: true },
    { before: 1.26, holds: true },
    { before: 1.24, holds: false },
  ])('with $before before, 1.5 holds: $holds', ({ before, holds }) => {
    const [verdict] = compare({ [`fan-out: ${scenario}`]: before, 'fan-out: other': 1 }, ratios)
    expect(verdict).toMatchObject({ before, now: 1.5, holds })
  })

  test('compares what is mounted with what is not', () => {
    const mounted = (contender: string, cpuUs: number) => ({
      ...sample(contender, cpuUs),
      workload: 'mounted',
    })
    const samples = new Samples([mounted('unifrost, express', 6), mounted('unifrost', 5)])
    expect(ratiosOf(samples)).toEqual({
      [`mounted: ${scenario}, express against node:http`]: 1.2,
    })
    const [first] = mountedGoals(samples)
    expect(first).toMatchObject({ limit: 1.05, measured: 1.2 })
    expect(verdict(first!)).toBe('**falls short by 15 %**')
  })

  test('with nothing to compare it says so', () => {
    expect(() => compare({}, ratios)).toThrow(/--baseline/)
  })
})

describe('the command line of the bench', () => {
  test('names a mode, workloads and contenders', () => {
    expect(optionsFrom([]).mode).toBe('full')
    expect(optionsFrom(['--quick', '--only', 'fan-out,idle'])).toMatchObject({
      mode: 'quick',
      only: ['fan-out', 'idle'],
    })
  })

  test('keeps only what can stand in the docs', () => {
    expect(isKept(optionsFrom([]))).toBe(true)
    expect(isKept(optionsFrom(['--only', 'fan-out']))).toBe(true)
    expect(isKept(optionsFrom(['--quick']))).toBe(false)
    expect(isKept(optionsFrom(['--contenders', 'floor']))).toBe(false)
    expect(isKept(optionsFrom(['--rounds', '1']))).toBe(false)
  })

  test.each([
    [['--fast'], /--fast/],
    [['--quick', '--check'], /do not go together/],
    [['--rounds', '0'], /from 1; it got 0/],
  ])('refuses %j', (args, why) => {
    expect(() => optionsFrom(args)).toThrow(why)
  })
})

describe('the goals', () => {
  const goal = { what: 'cost', limit: 2, unit: ' ×', bound: 'at most' as const }

  test.each([
    [{ ...goal, measured: 2 }, 'holds'],
    [{ ...goal, measured: 2.5 }, '**falls short by 25 %**'],
    [{ ...goal, bound: 'at least' as const, measured: 1.5 }, '**falls short by 25 %**'],
    [{ ...goal, bound: 'at least' as const, measured: 3 }, 'holds'],
    [{ ...goal, limit: 0, measured: 3 }, '**falls short by 3.00**'],
    [{ ...goal, measured: undefined }, 'not measured'],
  ])('%j: %s', (measured, result) => {
    expect(verdict(measured)).toBe(result)
  })

  test('compare unifrost with the floor, and others with unifrost', () => {
    const goals = goalsOf(
      new Samples([sample('unifrost', 5), sample('floor', 4), sample('loop', 8)]),
    )
    const measured = (what: string) => goals.find((one) => one.what === what)?.measured
    expect(measured(scenario)).toBe(1.25)
    expect(measured(`${scenario}, better than _loop_`)).toBe(1.6)
    expect(measured(`${scenario}, better than better-sse`)).toBeUndefined()
  })
})

describe('the plots', () => {
  const bar = { label: 'a<b', value: 2, lowest: 1, highest: 4, ours: true }

  test('bars are as long as their values, on the scale of the longest', () => {
    const svg = barChart('Cost', [{ title: '10 clients', bars: [bar, { ...bar, value: 4 }] }])
    const widths = [...svg.matchAll(/<rect .*? width="([\d.]+)"/g)].map(([, width]) =>
      Number(width),
    )
    expect(widths).toEqual([240, 480])
    expect(svg).toContain('a&#60;b')
    expect(svg).not.toMatch(/NaN|undefined/)
  })

  test('lines go through all of their points', () => {
    const points = [100, 1_000, 10_000].map((x) => ({ x, y: x / 1_000 }))
    const svg = lineChart('Cost', 'µs', [{ label: 'floor', points, ours: false }])
    expect(/<path class="line s1" d="M([^"]+)"/.exec(svg)?.[1]).toBe('56 317.4L308 294.4L560 64')
    expect(svg).toContain('10,000')
    expect(svg).not.toMatch(/NaN|undefined/)
  })

  test('they are readable in the dark too', () => {
    expect(barChart('Cost', [{ title: '', bars: [bar] }])).toContain('prefers-color-scheme: dark')
  })
})
