/**
 * `npm run test:load`: one process serves, one plays the browsers, on loopback. Each row says what
 * must hold; a row that does not is a failure. `-- --clients N` and `-- --minutes M` change the
 * size, `--write` keeps the figures and the plot in docs/.
 */
import { parseArgs } from 'node:util'
import { connected, deliver, neverRead, soak, storm } from './scenarios.js'
import type { Row } from './table.js'
import { printTable, writeDocs } from './table.js'

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '10000' },
    minutes: { type: 'string', default: '20' },
    write: { type: 'boolean', default: false },
  },
})
const clients = Number(values.clients)
const minutes = Number(values.minutes)
if (!(clients >= 10 && clients <= 15_000 && minutes > 0 && minutes <= 120)) {
  throw new Error('--clients takes 10 to 15000, --minutes more than 0 and at most 120.')
}

const rows: Row[] = []
const sizes = [clients / 10, clients / 2, clients].map(Math.round)
const plotted = []
for (const size of sizes) {
  const { row, point } = await connected(size)
  rows.push(row)
  plotted.push(point)
}
rows.push(await deliver(clients))
rows.push(await storm(clients))
rows.push(...(await neverRead(clients)))
rows.push(await soak(Math.min(clients, 1_000), minutes))

printTable(rows)
if (values.write) await writeDocs(rows, plotted)
process.exitCode = rows.every(({ holds }) => holds) ? 0 : 1
