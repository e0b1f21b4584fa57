import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { mountedPage } from './mounted-page.js'
import { DOCS } from './places.js'
import { plotsOf } from './plots.js'
import type { Results } from './results.js'
import { Samples } from './samples.js'
import { sectionsOf } from './sections.js'

const PAGE = join(DOCS, 'benchmarks.md')
const PLOTS = join(DOCS, 'benchmarks')
const [BEGIN, END] = ['<!-- bench: begin -->', '<!-- bench: end -->']

/**
 * Puts what was measured into docs/benchmarks.md, between its marks, and draws its plots; what was
 * measured as it is mounted has a page of its own.
 */
export async function writeDocs(results: Results): Promise<void> {
  if (results.samples.length === 0) {
    throw new Error('Nothing was measured so far: run npm run bench first.')
  }
  await mkdir(PLOTS, { recursive: true })
  if (results.samples.some(({ workload }) => workload === 'mounted')) {
    await writeFile(join(PLOTS, 'mounted.md'), mountedPage(results))
  }
  // A page of few workloads would say less than the one that is there.
  if (results.samples.every(({ workload }) => workload === 'mounted')) return
  for (const [name, svg] of Object.entries(plotsOf(new Samples(results.samples)))) {
    await writeFile(join(PLOTS, name), svg)
  }
  const text = await readFile(PAGE, 'utf8')
  const before = text.slice(0, text.indexOf(BEGIN) + BEGIN.length)
  const after = text.slice(text.indexOf(END))
  await writeFile(PAGE, `${before}\n\n${sectionsOf(results).join('\n\n')}\n\n${after}`)
}
