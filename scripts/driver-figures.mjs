// Keeps the drivers' figures of the last `npm run test:all` in docs/drivers/README.md. A driver's
// own tests measure them: test/src/drivers/figures.ts.
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
export const folder = join(root, '.cache/figures')
const page = join(root, 'docs/drivers/README.md')
const [begin, end] = ['<!-- figures: begin -->', '<!-- figures: end -->']

const ms = (value) => (value < 10 ? value.toFixed(1) : String(Math.round(value)))
const count = (value) => value.toLocaleString('en-US')
const counted = (value) => (value == null ? 'not counted' : count(value))
const perCore = (value) => (value == null ? 'in the noise' : count(value))
const columns = [
  ['driver', (row) => row.driver],
  ['ready (ms)', (row) => ms(row.readyMs)],
  ['p50 (ms)', (row) => ms(row.p50Ms)],
  ['p99 (ms)', (row) => ms(row.p99Ms)],
  ['messages/s to a full core', (row) => perCore(row.messagesPerCore)],
  ['topics', (row) => count(row.topics)],
  ['opened in (ms)', (row) => ms(row.openMs)],
  ['connections', (row) => counted(row.connections)],
  ['objects on the broker', (row) => counted(row.objects)],
  ['closed in (ms)', (row) => ms(row.closeMs)],
  ['objects left', (row) => counted(row.left)],
  ['back after a restart (ms)', (row) => (row.backMs == null ? 'not tried' : ms(row.backMs))],
]

/** What was measured, as a table in Markdown; undefined where nothing was. */
export async function figuresTable() {
  const files = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.json'))
  if (files.length === 0) return undefined
  const rows = await Promise.all(
    files.sort().map(async (name) => JSON.parse(await readFile(join(folder, name), 'utf8'))),
  )
  const cells = [
    columns.map(([title]) => title),
    columns.map((_, index) => (index === 0 ? '---' : '---:')),
    ...rows.map((row) => columns.map(([, value]) => value(row))),
  ]
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => line[index].length)))
  const lines = cells.map(
    (line) => `| ${line.map((cell, index) => cell.padEnd(widths[index])).join(' | ')} |`,
  )
  const machine = `Node ${process.versions.node}, ${cpus().length} cores, all on one machine:`
  return `${machine}\n\n${lines.join('\n')}`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const table = await figuresTable()
  if (table === undefined) throw new Error('Nothing was measured: run npm run test:all first.')
  const text = await readFile(page, 'utf8')
  const before = text.slice(0, text.indexOf(begin) + begin.length)
  await writeFile(page, `${before}\n\n${table}\n\n${text.slice(text.indexOf(end))}`)
}
