/** @needs Redis and NATS servers, HAProxy and nginx */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { EventSource } from 'eventsource'
import { jetstreamDriver } from '../src/drivers/jetstream.js'
import { redisStreamsDriver } from '../src/drivers/redis-streams.js'
import { requireCommand } from './brokers/apt.js'
import { startNats } from './brokers/nats.js'
import { startRedis } from './brokers/redis.js'
import { openEvents } from './support/event-stream.js'
import type { Script } from './support/script.js'
import { startScript } from './support/script.js'
import { until } from './support/until.js'

jest.setTimeout(120_000)

const root = join(__dirname, '..')
const scale = join(root, 'examples/scale')

const engines = {
  async redis() {
    const { adminUrl, stop } = await startRedis()
    return { env: { REDIS_URL: adminUrl }, stop }
  },
  async nats() {
    const { url, stop } = await startNats({ jetstream: true })
    return { env: { NATS_URL: url }, stop }
  },
}

/** Whether the driver of the example numbers its messages for all servers alike. */
const exact = {
  redis:
    'log' in redisStreamsDriver('redis://127.0.0.1:1', { sources: ['events'], route: () => [] }),
  nats: 'log' in jetstreamDriver('nats://127.0.0.1:1', { stream: 'events' }),
}

/** A client that is made before it connects, on whichever server that is. */
async function explicitClient(url: string): Promise<string> {
  const post = async (path: string, body: object) => {
    const response = await fetch(url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    return (await response.json()) as { client_id: string; topics?: string[] }
  }
  const { client_id } = await post('/clients', {})
  expect(await post('/subscriptions', { client_id, add: ['clock'] })).toMatchObject({
    topics: ['clock'],
  })
  return client_id
}

/** It comes back again and again, to each server by turns, and the clock goes on. */
async function hop(script: Script, exact: boolean): Promise<void> {
  const id = await explicitClient(script.url)
  let position = ''
  for (let hop = 0; hop < 6; hop++) {
    const headers = position === '' ? {} : { 'last-event-id': position }
    const stream = await openEvents(`${script.url}/events?id=${id}`, headers)
    await stream.next('the clock', ({ event }) => event === 'clock')
    // With a log, any server knows what it missed; without one it has to be told.
    expect(exact ? stream.text : '').not.toContain('messages-lost')
    position = stream.lastEventId
    stream.drop()
  }
}

describe.each(['redis', 'nats'] as const)('on %s', (kind) => {
  let engine: Awaited<ReturnType<(typeof engines)[typeof kind]>>
  let script: Script | undefined
  beforeAll(async () => {
    engine = await engines[kind]()
  })
  afterEach(async () => {
    await script?.stop()
    script = undefined
  })
  afterAll(() => engine.stop())

  test('cluster.ts: processes on one port look like one server', async () => {
    script = await startScript('examples/cluster.ts', engine.env)
    await hop(script, exact[kind])
    const presence = await fetch(`${script.url}/presence`)
    expect(await presence.json()).toMatchObject({ clock: expect.any(Number) })
    expect(await script.stop()).toBe(0)
  })

  test('scale/run.ts: three servers behind a balancer look like one, also when one is killed', async () => {
    const balancer = kind === 'redis' ? 'haproxy' : 'nginx'
    await requireCommand(balancer, balancer, 'leave this test out')
    script = await startScript('examples/scale/run.ts', { ...engine.env, BALANCER: balancer })
    await hop(script, exact[kind])
    const stream = await openEvents(`${script.url}/events?topic=dice`)
    await stream.next('the dice', ({ event }) => event === 'dice')
    const { server } = (await (await fetch(`${script.url}/presence`)).json()) as { server: string }
    const pid = new RegExp(`${server} is process (\\d+)`).exec(script.output)![1]
    process.kill(Number(pid), 'SIGKILL')
    await hop(script, exact[kind])
    expect(await script.stop()).toBe(0)
  })
})

test('cluster.ts: kill -HUP replaces each process once, and every page goes on', async () => {
  const engine = await engines.redis()
  const script = await startScript('examples/cluster.ts', { ...engine.env, SERVERS: '2' })
  const { url, output } = script
  const listening = () => script.output.split('Listening on').length - 1
  await until('two servers', () => listening() === 2, 30_000)
  const sources = Array.from({ length: 8 }, () => new EventSource(`${url}/events?topic=clock`))
  try {
    for (const source of sources) source.onerror = () => undefined
    await until('the pages', () => sources.every(({ readyState }) => readyState === 1), 30_000)
    process.kill(script.pid, 'SIGHUP')
    // Each is replaced by one; they drain for five seconds, one after the other.
    await until('two more servers', () => listening() === 4, 60_000)
    expect(await script.stop()).toBe(0)
    expect(script.output.slice(output.length)).not.toContain('A server ended')
    expect(listening()).toBe(4)
    expect(sources.filter(({ readyState }) => readyState === 2)).toEqual([])
  } finally {
    for (const source of sources) source.close()
    await script.stop()
    await engine.stop()
  }
})

test('cluster.ts without an engine: its processes look like one server', async () => {
  const env = { NATS_URL: '', REDIS_URL: '', SERVERS: '2' }
  const script = await startScript('examples/cluster.ts', env)
  try {
    await hop(script, true)
    const presence = await fetch(`${script.url}/presence`)
    expect(await presence.json()).toMatchObject({ clock: expect.any(Number) })
    expect(await script.stop()).toBe(0)
  } finally {
    await script.stop()
  }
})

test.each(['examples/scale/run.ts', 'examples/scale/publisher.ts'])(
  '%s says what to do where no engine is named',
  (path) => {
    const env = { ...process.env, NATS_URL: '', REDIS_URL: '' }
    const args = ['--import', 'tsx', join(root, path)]
    const { status, stderr } = spawnSync(process.execPath, args, { cwd: root, env })
    expect({ status, stderr: String(stderr) }).toEqual({
      status: 1,
      stderr: expect.stringContaining('REDIS_URL=redis://localhost:6379') as string,
    })
  },
)

// There is no Docker where these tests run, so that what can be said without it is said here.
test('compose.yaml runs what is there, and gives it the variables that it reads', async () => {
  const text = readFileSync(join(scale, 'compose.yaml'), 'utf8')
  const files = [...text.matchAll(/(examples\/scale\/[\w.-]+\.ts)/g)].map(([, path]) => path!)
  expect(files.length).toBeGreaterThan(1)
  expect(files.filter((path) => !existsSync(join(root, path)))).toEqual([])
  const haproxy = readFileSync(join(scale, 'haproxy.cfg'), 'utf8')
  const read = [...haproxy.matchAll(/"\$\{(\w+)\}"/g)].map(([, name]) => name!)
  expect(read.filter((name) => !text.includes(`${name}: `))).toEqual([])
  const server = ['server.ts', 'engine.ts']
    .map((it) => readFileSync(join(scale, it), 'utf8'))
    .join()
  const given = [.../environment: \{(.*)\}/.exec(text)![1]!.matchAll(/(\w+): /g)].map(
    ([, it]) => it!,
  )
  expect(given.filter((name) => !server.includes(name))).toEqual([])
  const command = await requireCommand('haproxy', 'haproxy', 'leave this test out')
  const env = {
    LISTEN: '*:8080',
    SERVER_1: '127.0.0.1:1',
    SERVER_2: '127.0.0.1:2',
    SERVER_3: '127.0.0.1:3',
  }
  const check = spawnSync(command, ['-c', '-f', join(scale, 'haproxy.cfg')], { env })
  expect(String(check.stderr)).not.toMatch(/ALERT|WARNING/)
  expect(check.status).toBe(0)
})
