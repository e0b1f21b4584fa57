import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DOCS } from './places.js'
import type { Results } from './results.js'
import { Samples } from './samples.js'
import { costTable } from './tables.js'

const PAGE = join(DOCS, 'benchmarks.md')
const [BEGIN, END] = ['<!-- bench: begin -->', '<!-- bench: end -->']

/** Puts what was measured into docs/benchmarks.md, between its marks. */
export async function writeDocs(results: Results): Promise<void> {
  const samples = new Samples(results.samples)
  const parts = [`Measured on ${results.machine}.`]
  for (const workload of ['fan-out', 'many-topics']) {
    for (const scenario of samples.scenarios(workload)) {
      parts.push(costTable(samples, workload, scenario))
    }
  }
  const text = await readFile(PAGE, 'utf8')
  const before = text.slice(0, text.indexOf(BEGIN) + BEGIN.length)
  const after = text.slice(text.indexOf(END))
  await writeFile(PAGE, `${before}\n\n${parts.join('\n\n')}\n\n${after}`)
}
