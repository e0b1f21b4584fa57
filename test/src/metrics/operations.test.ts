import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { memoryDriver, Streamer } from 'unifrost'
import { metrics } from 'unifrost/metrics'
import { parse } from 'yaml'

const docs = join(__dirname, '../../../docs')
const text = (path: string) => readFileSync(join(docs, path), 'utf8')

/** Every metric, as its series are named, with the labels that it may have. */
async function series(): Promise<Map<string, string[]>> {
  await using streamer = new Streamer(memoryDriver())
  const { register, close } = await metrics(streamer)
  const all = await register.getMetricsAsJSON()
  close()
  const labels: Record<string, string[]> = {
    unifrost_resumes_total: ['result'],
    unifrost_disconnects_total: ['reason'],
    unifrost_refused_total: ['code'],
  }
  return new Map(
    all.flatMap(({ name, type }): [string, string[]][] =>
      String(type) === 'histogram'
        ? [
            [`${name}_bucket`, ['le']],
            [`${name}_sum`, []],
            [`${name}_count`, []],
          ]
        : [[name, labels[name] ?? []]],
    ),
  )
}

/** The series that a query names, each with the labels that it selects by. */
function named(query: string): { name: string; labels: string[] }[] {
  return [...query.matchAll(/\b(unifrost_\w+)(?:\{([^}]*)\})?/g)].map(([, name, labels = '']) => ({
    name: name!,
    labels: [...labels.matchAll(/(\w+)(?:=~|!~|!=|=)/g)].map(([, label]) => label!),
  }))
}

interface Dashboard {
  panels: {
    title: string
    targets: { expr: string }[]
    gridPos: Record<'x' | 'y' | 'w' | 'h', number>
  }[]
}
interface Alerts {
  groups: { rules: { alert: string; expr: string; annotations: Record<string, string> }[] }[]
}

const dashboard = () => JSON.parse(text('operations/grafana.json')) as Dashboard
const rules = () =>
  (parse(text('operations/alerts.yml')) as Alerts).groups.flatMap((it) => it.rules)
const byPrometheus = ['job', 'instance']

test.each([
  ['dashboard', () => dashboard().panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))],
  ['alerts', () => rules().map(({ expr }) => expr)],
])('the %s asks for metrics and labels that there are', async (_what, queries) => {
  const known = await series()
  const asked = queries().flatMap(named)
  expect(asked.length).toBeGreaterThan(5)
  const wrong = asked.filter(({ name, labels }) => {
    const its = known.get(name)
    return !its || labels.some((label) => ![...its, ...byPrometheus].includes(label))
  })
  expect(wrong).toEqual([])
})

test('every metric is on the dashboard and in the docs', async () => {
  const asked = JSON.stringify(dashboard())
  const page = text('operations.md')
  for (const name of (await series()).keys()) {
    const metric = name.replace(/_(bucket|sum|count)$/, '')
    expect(page).toContain(`\`${metric}\``)
    expect(asked).toContain(metric)
  }
})

test('no two panels of the dashboard lie on one another', () => {
  const places = dashboard().panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
  )
  expect(new Set(places).size).toBe(places.length)
})

test('alerts name codes of errors that there are, and each says what to do', () => {
  const source = readFileSync(join(docs, '../src/errors.ts'), 'utf8')
  const codes = new Set([...source.matchAll(/'(ERR_UNIFROST_\w+)'/g)].map(([, code]) => code))
  const asked = rules().flatMap(({ expr }) =>
    [...expr.matchAll(/ERR_UNIFROST_\(([^)]*)\)/g)].flatMap(([, names]) => names!.split('|')),
  )
  expect(asked.length).toBeGreaterThan(3)
  expect(asked.filter((name) => !codes.has(`ERR_UNIFROST_${name}`))).toEqual([])
  for (const { annotations } of rules()) {
    expect(annotations.summary).toMatch(/\.$/)
    expect(annotations.description!.length).toBeGreaterThan(20)
  }
})
