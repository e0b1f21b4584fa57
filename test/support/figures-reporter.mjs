import { rmSync } from 'node:fs'
import { figuresTable, folder } from '../../scripts/driver-figures.mjs'

/** Prints what the drivers were measured to do in this run, as one table. */
export default class FiguresReporter {
  onRunStart() {
    rmSync(folder, { recursive: true, force: true })
  }

  async onRunComplete() {
    const table = await figuresTable()
    if (table !== undefined) process.stdout.write(`\nThe drivers, measured. ${table}\n`)
  }
}
