import type { Row } from './row.js'
import { textOf } from './rows-text.js'

/** What a run consists of, by the names that `--only` takes. */
export type Parts = Record<string, () => Promise<Row | Row[]>>

export const say = (line: string) => void process.stdout.write(`${line}\n`)

/** The parts that were asked for. @param usual Those of a run that was asked for none. */
export function namesOf(
  parts: Parts,
  only: string | undefined,
  usual = Object.keys(parts),
): readonly string[] {
  const names = only?.split(',') ?? usual
  const unknown = names.find((name) => parts[name] === undefined)
  if (unknown === undefined) return names
  throw new Error(`--only takes ${Object.keys(parts).join(', ')}; it got ${unknown}.`)
}

/** Runs parts one after the other, and says what came of each. */
export async function runParts(parts: Parts, names: readonly string[]): Promise<Row[]> {
  const all: Row[] = []
  for (const name of names) {
    const began = performance.now()
    const rows = [await parts[name]!().catch((error: unknown) => broken(name, error))].flat()
    say(`${textOf(rows)}\n    (${name}: ${Math.round((performance.now() - began) / 1_000)} s)`)
    all.push(...rows)
  }
  return all
}

/** Says how many rows held, and has the process end with 0 if none failed. @returns whether none did */
export function conclude(rows: readonly Row[]): boolean {
  const failed = rows.filter(({ problems }) => problems.length > 0).length
  const leftOut = rows.filter((row) => row.leftOut !== undefined).length
  say(`${rows.length - failed - leftOut} held, ${failed} failed, ${leftOut} left out`)
  process.exitCode = failed === 0 ? 0 : 1
  return failed === 0
}

/** What could not even be brought to an end did not hold. */
function broken(name: string, error: unknown): Row {
  const problem = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return { promise: `The part ${name}`, how: name, figure: 'none', problems: [problem] }
}
