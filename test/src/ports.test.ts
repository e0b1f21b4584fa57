import type { ChoosePayload, SourceEvents } from '../../src/driver-kit/index.js'
import { Sources } from '../../src/driver-kit/index.js'
import type { Driver, Payload, StreamerOptions } from '../../src/index.js'
import { Streamer } from '../../src/index.js'
import { FakeResponse, fakeRequest } from '../support/fake-response.js'
import { ManualClock } from '../support/manual-clock.js'
import { turns } from '../support/stage.js'
import { StubLog } from '../support/stub-log.js'

// Public wires of other applications, whose pages and apps can't change.

/** A message of a broker's channel. */
interface Message {
  channel: string
  text: string
}

/** A broker of channels, whose driver is made of the driver kit. */
class Broker {
  private readonly channels = new Map<string, SourceEvents<Message>>()

  driver(payload: ChoosePayload<Message>, more = {}): Driver {
    const open = async (channel: string, events: SourceEvents<Message>) => {
      this.channels.set(channel, events)
      return { close: async () => void this.channels.delete(channel) }
    }
    const sources = new Sources('broker', open, { payload, ...more }, ({ text }) => text)
    return {
      subscribe: (topic, sink) => sources.subscribe(topic, sink),
      close: () => sources.close(),
    }
  }

  publish(channel: string, value: unknown): void {
    this.channels.get(channel)!.message({ channel, text: JSON.stringify(value) })
  }
}

const clock = new ManualClock()
const closing: Streamer[] = []
afterEach(async () => {
  await Promise.all(closing.splice(0).map((streamer) => streamer.close()))
})

async function connect(driver: Driver, topics: string[], options: StreamerOptions = {}) {
  const streamer = new Streamer(driver, { clock, heartbeatInterval: 0, ...options })
  closing.push(streamer)
  const { id } = await streamer.newClient()
  for (const topic of topics) await streamer.subscribe(id, topic)
  const response = new FakeResponse()
  await streamer.handle(fakeRequest(id), response.asResponse)
  await turns()
  return { streamer, id, response }
}

/** The bytes of a page's own events: without those of another name, and without the positions. */
function pageBytes(response: FakeResponse, infoEvent: string): string {
  return response
    .receive()
    .toString()
    .split(/(?<=\n\n)/)
    .filter((event) => !event.includes(`event: ${infoEvent}\n`))
    .join('')
    .replaceAll(/^id: .*\n/gm, '')
}

test('the wire of Mastodon: the event is named in the message', async () => {
  const broker = new Broker()
  const driver = broker.driver(
    ({ text }) => {
      const { event, payload } = JSON.parse(text) as { event: string; payload: unknown }
      return { event, data: typeof payload === 'string' ? payload : JSON.stringify(payload) }
    },
    { address: (topic: string) => `timeline:${topic}` },
  )
  const { response } = await connect(driver, ['public'], { infoEvent: 'unifrost' })
  const status = { id: '114', content: '<p>a\u2028b</p>', account: { acct: 'ann' } }
  broker.publish('timeline:public', { event: 'update', payload: JSON.stringify(status) })
  broker.publish('timeline:public', { event: 'delete', payload: '113' })
  broker.publish('timeline:public', { event: 'notification', payload: { id: '7' } })
  await turns()
  expect(pageBytes(response, 'unifrost')).toBe(
    `event: update\ndata: ${JSON.stringify(status)}\n\n` +
      'event: delete\ndata: 113\n\n' +
      'event: notification\ndata: {"id":"7"}\n\n',
  )
})

test("the wire of n8n's editor: unnamed events, and nothing else without a name", async () => {
  const broker = new Broker()
  const driver = broker.driver(({ text }) => ({ event: 'message', data: text }))
  const { streamer, id, response } = await connect(driver, ['push.ref1'], {
    ...{ infoEvent: 'unifrost', heartbeat: 'message', heartbeatInterval: 1_000 },
  })
  const started = { type: 'executionStarted', data: { executionId: '1' } }
  broker.publish('push.ref1', started)
  clock.advance(1_000)
  await turns()
  broker.publish('push.ref1', { type: 'executionFinished', data: { executionId: '1' } })
  await turns()
  await streamer.removeClient(id)
  expect(pageBytes(response, 'unifrost')).toBe(
    `data: ${JSON.stringify(started)}\n\n` +
      'data: {"type":"executionFinished","data":{"executionId":"1"}}\n\n',
  )
})

test('an envelope names the topic, and JSON stays JSON', async () => {
  const broker = new Broker()
  const driver = broker.driver(
    ({ text }, topic) => ({
      event: 'message',
      data: `{"topic":${JSON.stringify(topic)},"data":${text}}`,
    }),
    { sources: ['all'], route: () => ['a', 'b'] },
  )
  const { response } = await connect(driver, ['a', 'b'], { infoEvent: 'unifrost' })
  broker.publish('all', { n: 1 })
  await turns()
  expect(pageBytes(response, 'unifrost')).toBe(
    'data: {"topic":"a","data":{"n":1}}\n\ndata: {"topic":"b","data":{"n":1}}\n\n',
  )
})

test('a payload is made once for each topic, however many clients there are', async () => {
  const broker = new Broker()
  const payload = jest.fn(({ text }: Message) => ({ event: 'e', data: text }))
  const { streamer } = await connect(broker.driver(payload), ['a'])
  for (let i = 0; i < 3; i++) {
    const { id } = await streamer.newClient()
    await streamer.subscribe(id, 'a')
    await streamer.handle(fakeRequest(id), new FakeResponse().asResponse)
  }
  broker.publish('a', 1)
  await turns()
  expect(payload.mock.calls).toEqual([[{ channel: 'a', text: '1' }, 'a']])
})

describe('a name that an event must not have', () => {
  const names = ['', 'open', 'error', 'unifrost-connection', 'a\nid: 9', 'a\r', '\0', '\ud800']

  test.each(names)('%j from payload is a loss that is told', async (event) => {
    const broker = new Broker()
    const gaps: string[] = []
    const { streamer, response } = await connect(
      broker.driver(() => ({ event, data: 'x' })),
      ['a'],
    )
    streamer.on('gap', (_topic, reason) => gaps.push(reason))
    broker.publish('a', 1)
    await turns()
    expect(response.receive().toString()).toMatch(
      /data: \{"error":\{"topic":"a","code":"messages-lost"/,
    )
    expect(gaps).toEqual([expect.stringContaining('payload failed')])
  })

  test.each(names)('%j is told as well where a driver hands it over by itself', async (event) => {
    let give: (payload: Payload) => void = () => undefined
    const driver: Driver = {
      async subscribe(_topic, sink) {
        give = (payload) => sink.message(payload)
        return { close: async () => undefined }
      },
      close: async () => undefined,
    }
    const { response } = await connect(driver, ['a'])
    give({ event, data: 'x' })
    await turns()
    expect(response.receive().toString()).toMatch(
      /data: \{"error":\{"topic":"a","code":"messages-lost"/,
    )
  })
})

test('an entry of a log that is read again has the payload of each of its topics', async () => {
  const log = new StubLog()
  log.payloadOf = (text, topic) => ({ event: `${topic}-event`, data: `${topic}:${text}` })
  const { streamer, response } = await connect(log.server(), ['a', 'b'], {
    history: { maxBytes: 3_000 },
  })
  log.publish(['a', 'b'], '1')
  await turns()
  const live = response.receive().toString()
  expect(live).toMatch(/event: a-event\ndata: a:1\nid: .*\n\nevent: b-event\ndata: b:1\n/)
  const { id } = await streamer.newClient()
  for (const topic of ['a', 'b']) await streamer.subscribe(id, topic)
  for (let i = 2; i < 50; i++) log.publish(['a', 'b'], String(i))
  await turns()
  const later = new FakeResponse()
  await streamer.handle(fakeRequest(id), later.asResponse)
  for (let i = 0; i < 40; i++) await turns()
  const text = later.receive().toString()
  for (let i = 2; i < 50; i++) {
    expect(text).toContain(`event: a-event\ndata: a:${i}\n`)
    expect(text).toContain(`event: b-event\ndata: b:${i}\n`)
  }
})

describe('the name of info messages', () => {
  test('is on all of them, and no topic may have it', async () => {
    const broker = new Broker()
    const { streamer, id, response } = await connect(
      broker.driver(({ text }) => text),
      ['a'],
      { infoEvent: 'unifrost' },
    )
    await expect(streamer.subscribe(id, 'unifrost')).rejects.toThrow(/infoEvent/)
    const second = new FakeResponse()
    await streamer.handle(fakeRequest(id, 'x-1'), second.asResponse)
    await streamer.close()
    const text = response.receive().toString() + second.receive().toString()
    const events = text.split('\n\n').filter((event) => event.includes('data: '))
    expect(events).toHaveLength(6)
    for (const event of events) expect(event).toMatch(/^event: unifrost$/m)
  })
})
