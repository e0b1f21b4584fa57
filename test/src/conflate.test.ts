import type { StreamerOptions } from '../../src/options.js'
import { FakeResponse, fakeRequest } from '../support/fake-response.js'
import { Page, Stage, turns } from '../support/stage.js'

let stage: Stage
afterEach(() => stage.dispose())

async function opened(options: StreamerOptions): Promise<void> {
  stage = new Stage(options)
  await stage.client('one', 'a', 'b')
}

function publish(...payloads: string[]): void {
  for (const payload of payloads) stage.driver.publish('a', payload)
}

const symbol = (payload: string) => payload.split(':')[0]!
const byKey = { topics: [{ match: 'a', conflate: { by: symbol } }] }

describe('a topic that is conflated', () => {
  test('gives everything to who keeps up', async () => {
    await opened(byKey)
    const page = await stage.connect('one')
    publish('x:1', 'x:2', 'y:1', 'x:3')
    await turns()
    expect(page.got).toEqual(['a=x:1', 'a=x:2', 'a=y:1', 'a=x:3'])
  })

  test('gives who was away the newest of each key, and other topics whole', async () => {
    await opened(byKey)
    const page = await stage.connect('one')
    const { lastEventId } = page
    page.cut()
    publish('x:1', 'x:2')
    stage.driver.publish('b', '1')
    publish('y:1', 'x:3')
    stage.driver.publish('b', '2')
    const again = await stage.connect('one', lastEventId)
    expect(again.got).toEqual(['b=1', 'a=y:1', 'a=x:3', 'b=2'])
    publish('x:4', 'x:5')
    await turns()
    expect(again.got.slice(4)).toEqual(['a=x:4', 'a=x:5'])
  })

  test('gives a slow reader only the newest, and goes on exactly', async () => {
    await opened({ topics: [{ match: 'a', conflate: true }] })
    const page = await stage.connect('one', undefined, 100)
    page.response.stopReading()
    for (let i = 1; i <= 50; i++) {
      publish(`${i}`.padEnd(100))
      await turns()
    }
    page.response.read(Infinity)
    await turns()
    const got = page.got.map((event) => event.trim())
    expect(got).toEqual(['a=1', 'a=50'])
  })

  test('tells no loss of what the history let go and has a newer one', async () => {
    await opened({ ...byKey, history: { maxBytes: 8_000, maxBytesPerTopic: 2_000 } })
    const page = await stage.connect('one')
    const { lastEventId } = page
    page.cut()
    publish('x:1', 'x:2', 'x:3', 'x:4', 'x:5')
    expect((await stage.connect('one', lastEventId)).got).toEqual(['a=x:5'])
  })

  test.each([
    ['all that was on its way has a newer one', 'x:3', ['a=x:3']],
    ['some has none', 'y:1', ['messages-lost:a', 'a=y:1']],
  ])('without a position, tells a loss only where it may be one: %s', async (_, next, wanted) => {
    await opened(byKey)
    const page = await stage.connect('one')
    publish('x:1', 'x:2')
    await turns()
    page.cut()
    publish(next)
    expect((await stage.connect('one')).got).toEqual(wanted)
  })

  test('tells a loss where the newest of a key was let go', async () => {
    await opened({ ...byKey, history: { maxBytes: 8_000, maxBytesPerTopic: 2_000 } })
    const page = await stage.connect('one')
    const { lastEventId } = page
    page.cut()
    publish('y:1', 'x:1', 'x:2', 'x:3', 'x:4')
    expect((await stage.connect('one', lastEventId)).got).toEqual(['messages-lost:a', 'a=x:4'])
  })

  test('skips no gap and no message whose key fails', async () => {
    await opened({
      topics: [{ match: 'a', conflate: { by: (it) => (it === '?' ? (5 as never) : it[0]!) } }],
    })
    const page = await stage.connect('one')
    const { lastEventId } = page
    page.cut()
    publish('x1', '?')
    stage.driver.last('a').sink.gap('The link broke.')
    publish('x2')
    expect((await stage.connect('one', lastEventId)).got).toEqual([
      'a=?',
      'messages-lost:a',
      'a=x2',
    ])
  })

  test.each([
    ['?id=one&conflate=1', ['a=2']],
    ['?id=one', ['a=1', 'a=2']],
  ])('with asked: true skips for who asks: %s', async (query, expected) => {
    await opened({ topics: [{ match: 'a', conflate: { asked: true } }] })
    const page = await stage.connect('one')
    const { lastEventId } = page
    page.cut()
    publish('1', '2')
    const request = fakeRequest('one', lastEventId)
    request.url = `/events${query}`
    const response = new FakeResponse()
    await stage.streamer.handle(request, response.asResponse)
    expect(new Page(response).got).toEqual(expected)
  })

  test('is written at most once per interval, the newest of each key, on a stream that keeps up', async () => {
    await opened({ topics: [{ match: 'a', conflate: { by: symbol, interval: 100 } }] })
    const page = await stage.connect('one')
    publish('x:1', 'x:2')
    await stage.wait(99)
    publish('y:1')
    await turns()
    expect(page.got).toEqual([])
    await stage.wait(1)
    expect(page.got).toEqual(['a=x:2', 'a=y:1'])
    publish('x:3', 'x:4')
    await turns()
    expect(page.got).toHaveLength(2)
    await stage.wait(100)
    expect(page.got.slice(2)).toEqual(['a=x:4'])
    const { lastEventId } = page
    page.cut()
    publish('x:5')
    const again = await stage.connect('one', lastEventId)
    expect(again.got).toEqual(['a=x:5'])
  })

  test('with an interval lets go of it when the client is unsubscribed', async () => {
    await opened({ topics: [{ match: 'a', conflate: { interval: 100 } }] })
    const page = await stage.connect('one')
    await stage.streamer.unsubscribe('one', 'a')
    await stage.wait(100)
    stage.driver.publish('b', '1')
    await turns()
    expect(page.got).toEqual(['b=1'])
    await stage.streamer.subscribe('one', 'a')
    publish('1', '2')
    await stage.wait(100)
    expect(page.got).toEqual(['b=1', 'a=2'])
  })
})

test.each([5, { by: 'x' }, { interval: -1 }, { interval: Infinity }, { asked: 1 }, { every: 5 }])(
  'conflate: %j is refused',
  (conflate) => {
    stage = new Stage()
    const topics = [{ match: 'a', conflate }] as never
    expect(() => new Stage({ topics })).toThrow('conflate takes true')
  },
)

describe('by topic', () => {
  test('linger says how long it stays open without subscribers', async () => {
    await opened({ clientTTL: 50, topicLinger: 100, topics: [{ match: 'a', linger: 1_000 }] })
    await stage.wait(50)
    await stage.wait(500)
    expect(stage.driver.last('a').closes).toBe(0)
    expect(stage.driver.last('b').closes).toBe(1)
    await stage.wait(1_000)
    expect(stage.driver.last('a').closes).toBe(1)
  })

  test.each([
    ['shorter', 100, ['b=1', 'messages-lost:a'], 200],
    ['longer', 5_000, ['a=1', 'messages-lost:b'], 2_000],
  ])('maxAge of one topic may be %s than that of the others', async (_, maxAge, got, wait) => {
    stage = new Stage({ topics: [{ match: 'a', maxAge }], history: { maxAge: 1_000 } })
    await stage.client('one', 'a', 'b')
    const page = await stage.connect('one')
    stage.driver.publish('b', '0')
    await turns()
    const { lastEventId } = page
    page.cut()
    publish('1')
    stage.driver.publish('b', '1')
    await stage.wait(wait)
    expect((await stage.connect('one', lastEventId)).got.toSorted()).toEqual(got)
    await stage.wait(10_000)
    expect(stage.streamer.stats().history.bytes).toBe(0)
  })

  test('maxBytes bounds its history', async () => {
    await opened({ topics: [{ match: 'a', maxBytes: 1_500 }] })
    const page = await stage.connect('one')
    const { lastEventId } = page
    page.cut()
    publish('1', '2', '3')
    stage.driver.publish('b', '1')
    stage.driver.publish('b', '2')
    stage.driver.publish('b', '3')
    const again = await stage.connect('one', lastEventId)
    expect(again.got).toEqual(['messages-lost:a', 'a=2', 'a=3', 'b=1', 'b=2', 'b=3'])
  })
})
