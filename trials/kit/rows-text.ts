import type { Row } from './row.js'

/** In which order the suites stand on a page; others follow. */
const ORDER = ['test:faults', 'test:load', 'test:security', 'test:mutants']
const WIDTH = 100
const [TRIED, CAME, BY] = ['Tried: ', 'Found: ', 'By ']

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

/** One row as it stands on a page: everything in words. */
interface Entry {
  promise: string
  how: string
  figure: string
  command: string
}

/**
 * A list in Markdown with these rows in it, each in the place of the last one with its promise.
 *
 * @param list What stood there before.
 * @param whole Whether these are all rows of their suite, so that older ones go.
 */
export function mergeRows(
  list: string,
  rows: readonly Row[],
  command: string,
  whole: boolean,
): string {
  const suite = suiteOf(command)
  const fresh = rows.map(({ promise, how, figure, leftOut }): Entry => {
    const found = leftOut === undefined ? figure : `left out: ${leftOut}`
    const plain = (text: string) => text.replaceAll('<', '&lt;').replaceAll('*', '\\*')
    return { promise: plain(promise), how: plain(how), figure: plain(found), command }
  })
  const entries = parse(list).filter((old) => !whole || suiteOf(old.command) !== suite)
  for (const entry of fresh) {
    const place = entries.findIndex((old) => old.promise === entry.promise && !fresh.includes(old))
    if (place < 0) entries.push(entry)
    else entries[place] = entry
  }
  const rank = ({ command }: Entry) => {
    const place = ORDER.indexOf(suiteOf(command))
    return place < 0 ? ORDER.length : place
  }
  return entries
    .sort((a, b) => rank(a) - rank(b))
    .map(format)
    .join('\n')
}

function suiteOf(command: string): string {
  return /npm run ([\w:]+)/.exec(command)?.[1] ?? ''
}

function format({ promise, how, figure, command }: Entry): string {
  const lines = [wrapped(`- **${promise}**`, '  ')]
  for (const text of [TRIED + how, CAME + figure, `${BY}\`${command}\``]) {
    lines.push(wrapped(`  - ${text}`, '    '))
  }
  return `${lines.join('\n')}\n`
}

/** What a line of Markdown may not begin with, unless it begins a list, a heading or a quotation. */
const MARKER = /^([-+*>]|#+|\d+[.)])$/

/** Breaks the line where it gets too long; a command, in backticks, stays in one piece. */
function wrapped(text: string, indent: string): string {
  const [, start = '', rest = ''] = /^(\s*- )(.*)$/.exec(text) ?? []
  const lines = ['']
  for (const word of rest.match(/`[^`]*`\S*|\S+/g) ?? []) {
    const line = lines.at(-1)!
    const fits = line === '' || indent.length + line.length + 1 + word.length <= WIDTH
    if (fits || MARKER.test(word)) lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
    else lines.push(word)
  }
  return start + lines.join(`\n${indent}`)
}

function parse(list: string): Entry[] {
  return list
    .split(/^- /m)
    .slice(1)
    .map((item) => {
      const [promise = '', ...parts] = item
        .split(/^ {2}- /m)
        .map((part) => part.replaceAll(/\s+/g, ' ').trim())
      const after = (label: string) =>
        parts.find((part) => part.startsWith(label))?.slice(label.length) ?? ''
      return {
        promise: promise.replace(/^\*\*(.*)\*\*$/, '$1'),
        how: after(TRIED),
        figure: after(CAME),
        command: after(BY).replaceAll('`', ''),
      }
    })
}
