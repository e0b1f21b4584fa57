/**
 * `npm run test:load`: one process serves, one plays the browsers, on loopback. Each row says what
 * must hold; a row that does not is a failure.
 */
import { parseArgs } from 'node:util'
import { writeRows } from '../kit/page.js'
import type { Parts } from '../kit/parts.js'
import { conclude, namesOf, runParts, say } from '../kit/parts.js'
import { writePlot } from './plot.js'
import { flood } from './scenarios/flood.js'
import { neverRead } from './scenarios/never-read.js'
import { sizes } from './scenarios/size.js'
import { soak } from './scenarios/soak.js'
import { storm } from './scenarios/storm.js'

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '10000' },
    minutes: { type: 'string', default: '20' },
    only: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
})

function numberOf(name: 'clients' | 'minutes', least: number, most: number): number {
  const number = Number(values[name])
  if (number >= least && number <= most) return number
  throw new Error(`--${name} takes a number from ${least} to ${most}; it got ${values[name]}.`)
}

const clients = numberOf('clients', 100, 15_000)
const minutes = numberOf('minutes', 0.5, 600)

const parts: Parts = {
  async sizes() {
    const { rows, points } = await sizes(clients)
    if (values.write) await writePlot(points)
    return rows
  },
  storm: () => storm(clients),
  'never-read': () => neverRead(clients, []),
  flood,
  soak: () => soak(minutes, say),
}

const names = namesOf(parts, values.only)

const command = ['npm run test:load']
const told = [
  values.clients !== '10000' && `--clients ${values.clients}`,
  values.minutes !== '20' && `--minutes ${values.minutes}`,
  values.only !== undefined && `--only ${values.only}`,
].filter((part) => part !== false)
if (told.length > 0) command.push('--', ...told)

const rows = await runParts(parts, names)
if (conclude(rows) && values.write) {
  await writeRows(rows, command.join(' '), values.only === undefined)
}
