import { loadText } from '../../src/server/config/load.js'
import { restartNeeded } from '../../src/server/reload.js'
import { openEvents } from '../support/event-stream.js'
import { AUTH, KEY, SECRET, serving, tokenFor } from './serving.js'

const open: { server: { close(): Promise<void> } }[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map(({ server }) => server.close()))
})

/** A server, and a way to give it another file. */
async function start(text: string) {
  const it = await serving(text)
  open.push(it)
  const reload = (next: string) => it.server.reload(load(next))
  const connect = async (topics: string[], headers: Record<string, string> = {}) => {
    const query = topics.map((topic) => `topic=${topic}`).join('&')
    const stream = await openEvents(`${it.url}/events?${query}`, headers)
    if (stream.status === 200)
      await stream.next('the first message', ({ event }) => event === 'message')
    return stream
  }
  return { ...it, reload, connect }
}

const PORTS = 'listen: { host: 127.0.0.1, port: 0 }\ndrain: { over: 0 }\n'
const load = (text: string) => loadText('test.yaml', `${PORTS}${text}`, {}, __dirname)
const publishing = (key: string) => `publish: { keys: [${key}] }\n`
const rules = (...names: string[]) =>
  `topics: [${names.map((name) => `{ match: ${name}, subscribe: anyone }`).join(', ')}]\n`

test('new rules take effect, and streams go on that they allow', async () => {
  const { reload, connect, publish } = await start(rules('a', 'b') + publishing(KEY))
  const both = await connect(['a', 'b'])
  const onlyB = await connect(['b'])
  expect(await reload(rules('a', 'c') + publishing(KEY))).toEqual({ changed: true, waiting: [] })
  await both.next('that b is gone', ({ data }) => data.includes('forbidden-topic'))
  await onlyB.end()
  await publish([
    { topic: 'b', data: 'no' },
    { topic: 'a', data: 'yes' },
  ])
  expect((await both.next('a', ({ event }) => event === 'a')).data).toBe('yes')
  expect(both.events.some(({ data }) => data === 'no')).toBe(false)
  expect((await connect(['b'])).status).toBe(403)
  expect((await connect(['c'])).status).toBe(200)
})

test('a new key publishes, and an old one does not any more', async () => {
  const { reload, publish } = await start(rules('a') + publishing(KEY))
  await reload(rules('a') + publishing('another-key-of-24-chars!'))
  const message = { topic: 'a', data: 'x' }
  expect((await publish(message)).status).toBe(401)
  expect(
    (await publish(message, { authorization: 'Bearer another-key-of-24-chars!' })).status,
  ).toBe(200)
})

test('a stream ends whose token the new keys do not take, and others stay', async () => {
  const topics =
    "topics: [{ match: 'users.{sub}', subscribe: owner }, { match: a, subscribe: anyone }]\n"
  const { reload, connect, server } = await start(AUTH + topics)
  const ann = await connect(['users.ann'], {
    authorization: `Bearer ${await tokenFor({ sub: 'ann' })}`,
  })
  const anybody = await connect(['a'])
  const other = 'another-secret-of-thirty-two-bytes-too'
  await reload(AUTH.replace(SECRET, other) + topics)
  await ann.next('its end', ({ data }) => data.includes('token-expired'))
  await ann.end()
  expect(anybody.ended).toBe(false)
  expect(server.streamer.stats().connections).toBe(1)
  const again = { authorization: `Bearer ${await tokenFor({ sub: 'ann' }, other)}` }
  expect((await connect(['users.ann'], again)).status).toBe(200)
})

test('limits take effect, also for an address that has more streams by now', async () => {
  const { reload, connect } = await start(rules('a'))
  const streams = [await connect(['a']), await connect(['a'])]
  await reload(`${rules('a')}limits: { connectionsPerAddress: 2 }\n`)
  // A browser is told of what passes by itself in a stream that ends, and others by a status.
  expect((await connect(['a'], { accept: '*/*' })).status).toBe(429)
  expect(streams.map(({ ended }) => ended)).toEqual([false, false])
})

test('nothing changes where one part of a new file is wrong', async () => {
  const { server, connect } = await start(rules('a'))
  const stream = await connect(['a'])
  const next = load(rules('b'))
  const issuer = {
    issuer: 'x',
    audience: ['y'],
    algorithms: ['RS256' as const],
    jwks: 'gone.json',
    clockTolerance: 0,
  }
  const auth = { issuers: [issuer as never] }
  await expect(server.reload({ ...next, config: { ...next.config, auth } })).rejects.toThrow()
  expect(stream.ended).toBe(false)
  expect((await connect(['a'])).status).toBe(200)
  expect((await connect(['b'])).status).toBe(403)
})

test('what needs a restart is said', () => {
  const config = (text: string) => loadText('test.yaml', text, {}, __dirname).config
  const before = config('listen: { port: 1 }')
  const after = config(
    'listen: { port: 2 }\nbroker: { redis: { url: redis://a } }\nlimits: { clients: 5, newPerSecond: 9 }\n' +
      'streams: { clientTTL: 5s }\nlog: { level: warn }\ntopics: [{ match: a }]',
  )
  expect(restartNeeded(before, after)).toEqual([
    'listen.port',
    'broker.memory',
    'broker.redis',
    'limits.newPerSecond',
    'streams.clientTTL',
  ])
  expect(restartNeeded(before, before)).toEqual([])
})
