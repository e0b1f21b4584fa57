import { answerOf } from '../callbacks.js'
import type { Fold } from './options.js'
import type { Part } from './parts.js'

/** Joins parts, for readers that come late. */
export type Folding = (parts: readonly Part[]) => readonly Part[]

/** What a part was before it was made text. */
export function valueOf({ text, isJson }: Pick<Part, 'text' | 'isJson'>): unknown {
  return isJson ? (JSON.parse(text) as unknown) : text
}

/**
 * Calls the application's `fold` for each row of parts under one event's name. What comes of them has
 * the number of the last one, so who has it goes on behind all of them.
 */
export function foldingBy(fold: Fold): Folding {
  return (parts) =>
    rowsOf(parts)
      .map((row) => folded(row, fold))
      .flat()
}

function folded(row: readonly Part[], fold: Fold): readonly Part[] {
  const last = row.at(-1)!
  if (row.length === 1) return row
  const one = answerOf('fold', () => fold(row.map(valueOf)), isPart, 'one part, or undefined')
  if (one === undefined) return row
  const isJson = typeof one !== 'string'
  return [{ ...last, isJson, text: isJson ? JSON.stringify(one) : one }]
}

function isPart(value: unknown): boolean {
  return value === undefined || typeof JSON.stringify(value) === 'string'
}

function rowsOf(parts: readonly Part[]): Part[][] {
  const rows: Part[][] = []
  for (const part of parts) {
    const row = rows.at(-1)
    if (row !== undefined && row[0]!.event === part.event) row.push(part)
    else rows.push([part])
  }
  return rows
}
