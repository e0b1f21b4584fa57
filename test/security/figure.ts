import { appendFileSync } from 'node:fs'
import type { Row } from '../../trials/kit/row.js'

/** How many cases there are in place of the few that suffice for a test of every day. */
export function casesOr(few: number): number {
  return Number(process.env.UNIFROST_SECURITY_CASES ?? few)
}

/** What has held, for the table that `npm run test:security` makes. */
export function held(row: Pick<Row, 'promise' | 'how' | 'figure'>): void {
  const file = process.env.UNIFROST_SECURITY_FIGURES
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(row)}\n`)
}
