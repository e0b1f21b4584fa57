import { FakeEngine } from '../../support/fake-directory.js'
import { until } from '../../support/until.js'
import { clusterSuite, Servers } from './cluster-suite.js'
import { directoryContract } from './contract.js'

describe('the directory that the fast tests stand on', () => {
  const engine = new FakeEngine()
  for (const { name, run } of directoryContract(() => engine.directory())) test(name, run)
})

describe('several servers', () => {
  let engine: FakeEngine
  beforeEach(() => (engine = new FakeEngine()))
  for (const { name, run } of clusterSuite(() => engine.directory())) test(name, run)
})

test('a stream whose client was taken over without one ends so that its page comes back', async () => {
  const engine = new FakeEngine()
  const servers = new Servers(() => engine.directory(), { takeoverTimeout: 50 })
  const [a, b] = [await servers.start(), await servers.start()]
  const { id } = await a.newClient()
  const page = await servers.connect(a, id)
  // Its lease lapses, and so b takes the client over to subscribe it.
  const [name, host] = [...engine.hosts][0]!
  engine.hosts.delete(name)
  await b.subscribe(id, 'news')
  engine.hosts.set(name, host)
  host.up(String(engine.memory))
  await until('the end of the stream', () => page.response.writableEnded)
  // `replaced` would keep it away for good, and there is no other stream.
  expect(page.got).toEqual([])
  expect(page.closed).toEqual({ reason: 'moved', reconnect: true })
  expect((await servers.connect(b, id)).response.statusCode).toBe(200)
  await servers.close()
})
