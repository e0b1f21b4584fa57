import { loadText } from '../../src/server/config/load.js'
import { restartNeeded } from '../../src/server/reload.js'
import { topicOptions } from '../../src/server/topic-options.js'
import { openEvents } from '../support/event-stream.js'
import { AUTH, KEY, serving, tokenFor } from './serving.js'

const open: { server: { close(): Promise<void> } }[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map(({ server }) => server.close()))
})

const PUBLISH = `publish: { keys: [${KEY}] }\n`
const configOf = (text: string) => loadText('test.yaml', text, {}, __dirname).config

async function start(text: string) {
  const it = await serving(text + PUBLISH)
  open.push(it)
  const connect = async (query: string, headers: Record<string, string> = {}) => {
    const stream = await openEvents(`${it.url}/events?${query}`, headers)
    await stream.next('the first message', ({ event }) => event === 'message')
    return stream
  }
  return { ...it, connect }
}

test('who subscribes later is sent the last message, of a pattern with a claim, too', async () => {
  const { connect, publish } = await start(
    `${AUTH}topics: [{ match: 'users.{sub}.*', subscribe: owner, retain: 1 }]\n`,
  )
  const headers = { authorization: `Bearer ${await tokenFor({ sub: 'ann' })}` }
  const first = await connect('topic=users.ann.state', headers)
  await publish({ topic: 'users.ann.state', data: 'old' })
  await publish({ topic: 'users.ann.state', data: 'new' })
  await first.next('the message', ({ data }) => data === 'new')
  const later = await connect('topic=users.ann.state', headers)
  await later.next('the last one', ({ data }) => data === 'new')
  expect(later.events.filter(({ event }) => event === 'users.ann.state')).toHaveLength(1)
})

test('with a field, who subscribes later is sent the newest of each value', async () => {
  const { connect, publish } = await start(
    'topics: [{ match: ticks, subscribe: anyone, retain: { by: of.symbol } }]\n',
  )
  const first = await connect('topic=ticks')
  const tick = (symbol: string, price: number) => ({
    topic: 'ticks',
    data: { of: { symbol }, price },
  })
  await publish([tick('a', 1), tick('b', 1), tick('a', 2)])
  await first.next('the last', ({ data }) => data.includes('"price":2'))
  const later = await connect('topic=ticks')
  await later.next('the last', ({ data }) => data.includes('"price":2'))
  expect(
    later.events.flatMap(({ event, data }) => (event === 'ticks' ? [JSON.parse(data)] : [])),
  ).toEqual([
    { of: { symbol: 'b' }, price: 1 },
    { of: { symbol: 'a' }, price: 2 },
  ])
})

test("the message that is a topic's last one ends it", async () => {
  const { connect, publish } = await start(
    'topics: [{ match: jobs.*, subscribe: anyone, end: done, retain: 1 }]\n',
  )
  const stream = await connect('topic=jobs.1')
  await publish([
    { topic: 'jobs.1', data: 'half' },
    { topic: 'jobs.1', data: 'done' },
  ])
  await stream.next('the end', ({ data }) => data === '{"end":{"topic":"jobs.1"}}')
  expect(stream.events.filter(({ event }) => event === 'jobs.1').map(({ data }) => data)).toEqual([
    'half',
    'done',
  ])
})

test('with a time, a client gets the newest of what came in it', async () => {
  const { connect, publish } = await start(
    'topics: [{ match: ticks.*, subscribe: anyone, conflate: 200ms }]\n',
  )
  const stream = await connect('topic=ticks.a')
  const all = Array.from({ length: 50 }, (_, n) => ({ topic: 'ticks.a', data: `${n}` }))
  await publish(all)
  await stream.next('the newest', ({ data }) => data === '49')
  expect(stream.events.filter(({ event }) => event === 'ticks.a').length).toBeLessThan(50)
})

test.each([
  ['200ms', { interval: 200 }],
  ['true', true],
  ['false', false],
  ['{ by: symbol }', { by: expect.any(Function), interval: 0, asked: false }],
  ['{ interval: 1s, asked: true }', { interval: 1_000, asked: true }],
])('conflate: %s is what the library takes', (text, conflate) => {
  const { topics } = configOf(
    `topics: [{ match: a.*, conflate: ${text}, linger: 1m, maxBytes: 1kB }]`,
  )
  expect(topicOptions(topics)).toEqual([
    { match: ['a.*'], conflate, linger: 60_000, maxBytes: 1_000 },
  ])
})

test('the first rule that matches decides what a topic keeps, too', () => {
  const { topics } = configOf(
    "topics: [{ match: news }, { match: b }, { match: 'x.*', retain: 1 }, { match: x.y, retain: 2 }, { match: '*', retain: 3 }]",
  )
  const kept = topicOptions(topics)
  expect(kept.slice(0, 3)).toEqual([
    { match: ['news'] },
    { match: ['b'] },
    { match: ['x.*'], retain: 1 },
  ])
  expect(kept[3]).toMatchObject({ match: expect.arrayContaining(['*', '*.*', '*.*.*']), retain: 3 })
  expect(
    topicOptions(configOf('topics: [{ match: message }, { match: a, retain: 1 }]').topics),
  ).toEqual([{ match: ['a'], retain: 1 }])
})

test('what topics keep changes with a restart, and who may have them at once', () => {
  const one = configOf('topics: [{ match: a, retain: 1 }]')
  expect(restartNeeded(one, configOf('topics: [{ match: a, retain: 2 }]'))).toEqual(['topics'])
  const open = configOf('topics: [{ match: b }, { match: a, retain: 1, subscribe: anyone }]')
  expect(restartNeeded(one, open)).toEqual([])
})
