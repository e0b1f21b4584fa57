import { setImmediate as nextTurn } from 'node:timers/promises'
import { DirectoryUnavailableError } from '../../../src/errors.js'
import { FakeEngine } from '../../support/fake-directory.js'
import { ManualClock } from '../../support/manual-clock.js'
import { Servers } from './cluster-suite.js'

const CLIENT_TTL = 60_000
const clock = new ManualClock()

/** One server on an engine that the test moves, with a client of two topics that has a stream. */
async function start() {
  const engine = new FakeEngine()
  const servers = new Servers(() => engine.directory(), { clock, clientTTL: CLIENT_TTL })
  const a = await servers.start()
  const { id } = await a.newClient()
  await a.subscribe(id, 'news')
  await a.subscribe(id, 'chat')
  const page = await servers.connect(a, id)
  await settled()
  return { engine, servers, a, id, page }
}

async function settled(): Promise<void> {
  for (let i = 0; i < 5; i++) await nextTurn()
}

const record = (engine: FakeEngine, id: string) =>
  JSON.parse(engine.entries.get(id)!.text) as { topics: object; connected: boolean }

const topicsOf = (engine: FakeEngine, id: string) => Object.keys(record(engine, id).topics)

test('a record that could not be written is written a second later, without a word of the engine', async () => {
  const { engine, servers, a, id } = await start()
  let refusals = 1
  engine.gate = async (verb) => {
    if (verb === 'put' && refusals-- > 0) throw new DirectoryUnavailableError(new Error('busy'))
  }
  await a.unsubscribe(id, 'chat')
  await settled()
  expect(topicsOf(engine, id)).toEqual(['news', 'chat'])
  clock.advance(1_000)
  await settled()
  expect(topicsOf(engine, id)).toEqual(['news'])
  await servers.close()
})

test('what changes while a record is being written is written after it', async () => {
  const { engine, servers, a, id } = await start()
  let goOn!: () => void
  const gate = new Promise<void>((resolve) => (goOn = resolve))
  engine.gate = (verb) => (verb === 'put' ? gate : Promise.resolve())
  const first = a.unsubscribe(id, 'chat')
  await settled()
  const second = a.unsubscribe(id, 'news')
  await settled()
  engine.gate = async () => undefined
  goOn()
  await Promise.all([first, second])
  expect(topicsOf(engine, id)).toEqual([])
  await servers.close()
})

test('the record of a connected client outlives a server that crashes', async () => {
  const { engine, servers, id, page } = await start()
  const left = () => engine.entries.get(id)!.due - performance.now()
  expect(record(engine, id).connected).toBe(true)
  expect(left()).toBeGreaterThan(2 * CLIENT_TTL)
  page.response.destroy()
  await settled()
  expect(record(engine, id).connected).toBe(false)
  expect(left()).toBeLessThanOrEqual(CLIENT_TTL)
  await servers.close()
})
