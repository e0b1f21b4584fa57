import { readFile, writeFile } from 'node:fs/promises'
import type { Row } from './row.js'

const BEGIN = '<!-- faults:begin, written by the run named in it -->'
const END = '<!-- faults:end -->'

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

/** Puts the table into the docs, in place of the last one. */
export async function writeTable(path: string, rows: readonly Row[], command: string) {
  const text = await readFile(path, 'utf8')
  const [before, after] = [text.indexOf(BEGIN), text.indexOf(END)]
  if (before < 0 || after < before) throw new Error(`${path} has no place for the table.`)
  const section = `${BEGIN}\n\n${markdownOf(rows, command)}\n${END}`
  const whole = text.slice(0, before) + section + text.slice(after + END.length)
  await writeFile(path, whole)
}

function markdownOf(rows: readonly Row[], command: string): string {
  const cell = (content: string) => content.replaceAll('|', '\\|').replaceAll('<', '&lt;')
  const columns = rows.map(({ promise, how, figure, leftOut }) =>
    [promise, how, leftOut === undefined ? figure : `left out: ${leftOut}`, `\`${command}\``].map(
      cell,
    ),
  )
  const all = [['promise', 'how it was tried', 'figure', 'command'], ...columns]
  const widths = [0, 1, 2, 3].map((i) => Math.max(...all.map((row) => row[i]!.length)))
  const line = (row: string[]) => `| ${row.map((it, i) => it.padEnd(widths[i]!)).join(' | ')} |\n`
  const rule = line(widths.map((width) => '-'.repeat(width)))
  return line(all[0]!) + rule + columns.map(line).join('')
}
