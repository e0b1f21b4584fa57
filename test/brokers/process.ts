import { randomInt } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { BrokerProcess as Process } from '../../src/testing/index.js'
import type { BrokerCommand } from '../../src/testing/index.js'
import { whenEnding } from '../support/ending.js'

export { freePort } from '../../src/testing/index.js'
export { takesConnections } from '../../src/testing/process.js'

export type BrokerProcess = Process

/** A broker as a process of ours, which goes with the worker of Jest that started it. */
export const BrokerProcess = {
  start: (command: BrokerCommand): Promise<Process> =>
    Process.start({ atExit: whenEnding, ...command }),
}

/**
 * A port that nobody has on any address of this machine, and that the kernel gives to nobody who asks
 * for none in particular: for who comes back to it later, on an address of its own.
 */
export async function lastingPort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 30_000)
    const server = createServer()
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, () => resolve(true))
    })
    if (!free) continue
    await new Promise((resolve) => server.close(resolve))
    return port
  }
}

const ESTABLISHED = '01'

/** How many connections a port has, as the kernel counts them on the side of who listens. */
export async function connectionsTo(port: number): Promise<number> {
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const tables = ['/proc/net/tcp', '/proc/net/tcp6'].map((path) => readFile(path, 'utf8'))
  const lines = (await Promise.all(tables)).join('\n').split('\n')
  return lines.filter((line) => {
    const [, near, , state] = line.trim().split(/\s+/)
    return near?.endsWith(local) && state === ESTABLISHED
  }).length
}
