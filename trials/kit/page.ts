import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Row } from './row.js'
import { mergeRows } from './rows-text.js'

const DOCS = new URL('../../docs/', import.meta.url)

/**
 * Puts rows into a page's list, each in the place of the last one with its promise.
 *
 * @param command What made them: `npm run test:…`, with what it was given.
 * @param whole Whether these are all rows of their suite, so that older ones go.
 */
export async function writeRows(
  rows: readonly Row[],
  command: string,
  whole: boolean,
  page = 'reliability.md',
  mark = 'figures',
): Promise<void> {
  await rewrite(page, mark, (list) => mergeRows(list, rows, command, whole))
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
