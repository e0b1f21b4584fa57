import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Row } from './row.js'

const DOCS = new URL('../../docs/', import.meta.url)
const TITLES = ['promise', 'how it was tried', 'figure', 'command']
/** In which order the suites stand in the table; others follow. */
const ORDER = ['test:faults', 'test:load', 'test:security', 'test:mutants']

/** The rows as text for a terminal. */
export function textOf(rows: readonly Row[]): string {
  return rows
    .map(({ promise, how, figure, problems, leftOut }) => {
      const verdict = leftOut !== undefined ? 'LEFT OUT' : problems.length === 0 ? 'ok' : 'FAILED'
      const lines = [`${verdict}  ${promise}`, `    tried:  ${how}`]
      lines.push(leftOut === undefined ? `    figure: ${figure}` : `    reason: ${leftOut}`)
      return [...lines, ...problems.map((problem) => `    - ${problem}`)].join('\n')
    })
    .join('\n')
}

/**
 * Puts rows into a page's one table, each in the place of the last one with its promise.
 *
 * @param command What made them: `npm run test:…`, with what it was given.
 * @param whole Whether these are all rows of their suite, so that older ones go.
 */
export async function writeTable(
  rows: readonly Row[],
  command: string,
  whole: boolean,
  page = 'reliability.md',
  mark = 'figures',
): Promise<void> {
  await rewrite(page, mark, (table) => mergeTable(table, rows, command, whole))
}

/** Puts text into a page of the docs between the comments that begin and end a place. */
export async function writeSection(page: string, mark: string, content: string): Promise<void> {
  await rewrite(page, mark, () => content)
}

async function rewrite(page: string, mark: string, make: (old: string) => string): Promise<void> {
  const path = fileURLToPath(new URL(page, DOCS))
  const text = await readFile(path, 'utf8')
  // Up to the end of the comment, which says more.
  const [begin = ''] = new RegExp(`<!-- ${mark}:begin[^>]*-->`).exec(text) ?? []
  const [before, after] = [text.indexOf(begin), text.indexOf(`<!-- ${mark}:end -->`)]
  if (begin === '' || after < before) throw new Error(`${page} has no place for ${mark}.`)
  const section = `${begin}\n\n${make(text.slice(before + begin.length, after))}\n`
  await writeFile(path, text.slice(0, before) + section + text.slice(after))
}

/** A table in Markdown with these rows in it. */
export function mergeTable(
  table: string,
  rows: readonly Row[],
  command: string,
  whole: boolean,
): string {
  const suite = suiteOf(command)
  const fresh = rows.map(({ promise, how, figure, leftOut }) =>
    [promise, how, leftOut === undefined ? figure : `left out: ${leftOut}`, `\`${command}\``].map(
      (content) => content.replaceAll('|', '\\|').replaceAll('<', '&lt;'),
    ),
  )
  const old = parse(table).filter((row) => !whole || suiteOf(row[3]!) !== suite)
  for (const row of fresh) {
    const place = old.findIndex((other) => other[0] === row[0] && !fresh.includes(other))
    if (place < 0) old.push(row)
    else old[place] = row
  }
  const rank = (row: string[]) => {
    const place = ORDER.indexOf(suiteOf(row[3]!))
    return place < 0 ? ORDER.length : place
  }
  const sorted = old.sort((a, b) => rank(a) - rank(b))
  return format([TITLES, ...sorted])
}

function suiteOf(command: string): string {
  return /npm run ([\w:]+)/.exec(command)?.[1] ?? ''
}

/** The cells of a table's rows, without its head. */
function parse(table: string): string[][] {
  return table
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .slice(2)
    .map((line) =>
      line
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
}

/** As Prettier would have it. */
function format(rows: readonly string[][]): string {
  const widths = TITLES.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)))
  const line = (row: string[]) => `| ${row.map((it, i) => it.padEnd(widths[i]!)).join(' | ')} |\n`
  const [head, ...rest] = rows
  return line(head!) + line(widths.map((width) => '-'.repeat(width))) + rest.map(line).join('')
}
