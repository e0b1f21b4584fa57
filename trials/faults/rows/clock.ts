import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { requireCommand } from '../../../test/brokers/apt.js'
import { until } from '../../../test/support/until.js'
import { startBroker } from '../brokers.js'
import type { Context } from '../context.js'
import type { Row } from '../../kit/row.js'
import { seconds, Trial, wholeness } from '../../kit/row.js'
import { SingleServerStage } from '../single-server-stage.js'

const TTL = 3_000
const HOUR = 3_600_000
const AWAY = 2

const promise = 'No client expires early or lives for ever when the clock is set'

/** The server's system time jumps by an hour, forth and back. */
export async function clock({ seed }: Context): Promise<Row> {
  let library: string
  try {
    library = await libfaketime()
  } catch (cause) {
    const leftOut = `libfaketime is not there: ${(cause as Error).message}`
    return { promise, how: 'system time moved by libfaketime', figure: '', problems: [], leftOut }
  }
  const trial = new Trial()
  const folder = await mkdtemp(join(tmpdir(), 'unifrost-clock-'))
  const file = join(folder, 'offset')
  await writeFile(file, '+0')
  const stage = await SingleServerStage.set({
    name: 'clock',
    broker: await startBroker('memory'),
    seed,
    clients: 20,
    topics: 10,
    each: 5,
    rate: 100,
    config: { options: { clientTTL: TTL, heartbeatInterval: 500, retry: { min: 50, max: 200 } } },
    launch: {
      env: {
        LD_PRELOAD: library,
        FAKETIME_TIMESTAMP_FILE: file,
        FAKETIME_NO_CACHE: '1',
        // As when a system's time is set: what counts from the start of the machine goes on.
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
      },
    },
  })
  try {
    stage.publishOn()
    const leavers = stage.clients.filter(({ settings }) => settings.kind === 'explicit')
    const expiries: number[] = []
    const jumps: number[] = []
    for (const offset of ['+3600', '-3600']) {
      const away = leavers.splice(0, 2 * AWAY)
      const [back, never] = [away.slice(0, AWAY), away.slice(AWAY)]
      const before = (await stage.server.mustAsk({ do: 'stats' })).wallClock - Date.now()
      for (const client of back) client.pause()
      for (const client of never) stage.dismiss(client)
      const left = performance.now()
      const { stats } = await stage.server.mustAsk({ do: 'stats' })
      await writeFile(file, offset)
      await until('the jump', async () => {
        const { wallClock } = await stage.server.mustAsk({ do: 'stats' })
        jumps.push(wallClock - Date.now() - before)
        return Math.abs(jumps.at(-1)!) > 0.9 * HOUR
      })
      const half = () => performance.now() - left > TTL / 2
      await until('half of the TTL to pass', half)
      // An early end of any of them is entered in the ledger by their next 401.
      for (const client of back) client.begin()
      await until('those to go who stay away', async () => {
        const now = (await stage.server.mustAsk({ do: 'stats' })).stats.clients
        return now <= stats.clients - AWAY
      })
      expiries.push(performance.now() - left)
      await stage.connected()
    }
    await stage.settle()
    const renewed = stage.clients.reduce((sum, { renewals }) => sum + renewals, 0)
    trial.must(renewed === 0, `${renewed} clients were forgotten early`)
    for (const took of expiries) {
      trial.must(took > TTL - 50 && took < TTL + 1_000, `a client lived for ${seconds(took)}`)
    }
    trial.mustBeWhole(stage.ledger)
    return {
      promise,
      how:
        `the server's system time is set an hour on and two hours back (libfaketime) while ` +
        `clients are away; clientTTL ${TTL / 1_000} s`,
      figure:
        `0 of ${2 * AWAY} who came back in time were forgotten; those who did not went after ` +
        `${expiries.map(seconds).join(' and ')}; ${wholeness(stage.ledger)}`,
      problems: trial.problems,
    }
  } finally {
    await stage.strike()
    await rm(folder, { recursive: true, force: true })
  }
}

async function libfaketime(): Promise<string> {
  await requireCommand('faketime', 'faketime', 'leave this row out')
  for (const folder of await readdir('/usr/lib')) {
    const path = join('/usr/lib', folder, 'faketime')
    const names: string[] = await readdir(path).catch(() => [])
    if (names.includes('libfaketimeMT.so.1')) return join(path, 'libfaketimeMT.so.1')
  }
  throw new Error('the command faketime is there, its library is not')
}
