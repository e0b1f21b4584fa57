import type { StreamerOptions } from '../../src/options.js'
import { Streamer } from '../../src/streamer.js'
import { memoryDriver } from '../../src/drivers/memory.js'
import { openPage, Stage, turns } from '../support/stage.js'

let stage: Stage
afterEach(() => stage.dispose())

/** A stage with a first subscriber of `a`, so that the topic is open. */
async function opened(options: StreamerOptions): Promise<void> {
  stage = new Stage(options)
  await stage.client('first', 'a')
}

function publish(...payloads: string[]): void {
  for (const payload of payloads) stage.driver.publish('a', payload)
}

const symbol = (payload: string) => payload.split(':')[0]!

describe('the last values', () => {
  test('are sent to who subscribes later, and what follows comes after them', async () => {
    await opened({ topics: [{ match: '*', retain: 2 }] })
    publish('1', '2', '3')
    const page = await openPage(stage.streamer, ['a'])
    expect(page.got).toEqual(['a=2', 'a=3'])
    publish('4')
    await turns()
    expect(page.got).toEqual(['a=2', 'a=3', 'a=4'])
  })

  test('are the newest of each key', async () => {
    await opened({ topics: [{ match: 'a', retain: { by: symbol } }] })
    publish('x:1', 'y:1', 'x:2')
    expect((await openPage(stage.streamer, ['a'])).got).toEqual(['a=y:1', 'a=x:2'])
  })

  test('come to a stream that is open already', async () => {
    await opened({ topics: [{ match: 'a', retain: 1 }] })
    publish('1')
    await stage.client('one', 'b')
    const page = await stage.connect('one')
    stage.driver.publish('b', 'x')
    await turns()
    await stage.streamer.subscribe('one', 'a')
    publish('2')
    await turns()
    expect(page.got).toEqual(['b=x', 'a=1', 'a=2'])
  })

  test('come once, also when the client connects again', async () => {
    await opened({ topics: [{ match: 'a', retain: 2 }] })
    publish('1', '2')
    await stage.client('one', 'a')
    const first = await stage.connect('one')
    expect(first.got).toEqual(['a=1', 'a=2'])
    first.cut()
    publish('3')
    const second = await stage.connect('one', first.lastEventId)
    expect(second.got).toEqual(['a=3'])
  })

  test.each(['a stored client', 'a client of its request'])(
    'all come again where the stream was cut before the last of them: %s',
    async (kind) => {
      await opened({ topics: [{ match: '*', retain: 2 }] })
      await stage.streamer.subscribe('first', 'b')
      publish('1', '2')
      stage.driver.publish('b', 'x')
      await stage.client('one', 'a', 'b')
      const connect = (after?: string) =>
        kind === 'a stored client'
          ? stage.connect('one', after)
          : openPage(stage.streamer, ['a', 'b'], after)
      const whole = await connect()
      const { length } = whole.response.receive()
      for (const bytes of [length - 1, length - 60, 100]) {
        const cut = await connect()
        cut.take(bytes)
        cut.cut()
        const again = await connect(cut.lastEventId === '' ? undefined : cut.lastEventId)
        expect(again.got.filter((event) => event !== 'messages-lost:a')).toEqual([
          'a=1',
          'a=2',
          'b=x',
        ])
      }
    },
  )

  test('outlive maxAge and linger: the topic stays open', async () => {
    await opened({
      topicLinger: 10,
      clientTTL: 50,
      topics: [{ match: 'a', retain: 1 }],
      history: { maxAge: 100 },
    })
    publish('1')
    await stage.wait(1_000)
    expect(stage.streamer.stats()).toMatchObject({ clients: 0, topics: 1, history: { frames: 0 } })
    publish('2')
    await stage.wait(1_000)
    expect((await openPage(stage.streamer, ['a'])).got).toEqual(['a=2'])
  })

  test('are behind messages-lost where a gap may have taken the newest', async () => {
    await opened({ topics: [{ match: 'a', retain: 1 }] })
    publish('1')
    stage.driver.last('a').sink.gap('The link broke.')
    expect((await openPage(stage.streamer, ['a'])).got).toEqual(['a=1', 'messages-lost:a'])
    publish('2')
    expect((await openPage(stage.streamer, ['a'])).got).toEqual(['a=2'])
  })

  test('are let go for lack of room, which is told', async () => {
    await opened({
      maxRetainedBytes: 12_000,
      topics: [{ match: 'a', retain: { by: (payload) => payload } }],
    })
    publish('1', '2', '3', '4', '5', '6')
    const { got } = await openPage(stage.streamer, ['a'])
    expect(got.at(-1)).toBe('messages-lost:a')
    expect(got.at(-2)).toBe('a=6')
    expect(got.length).toBeLessThan(6)
  })

  test('are not sent to who comes back at a position', async () => {
    await opened({ topics: [{ match: 'a', retain: 2 }] })
    publish('1')
    const page = await openPage(stage.streamer, ['a'])
    publish('2')
    await turns()
    expect(page.got).toEqual(['a=1', 'a=2'])
    publish('3')
    expect((await openPage(stage.streamer, ['a'], page.lastEventId)).got).toEqual(['a=3'])
  })

  test('come after the loss to who comes from an unknown position', async () => {
    await opened({ topics: [{ match: 'a', retain: 1 }] })
    publish('1')
    const page = await openPage(stage.streamer, ['a'], 'other-5')
    expect(page.got).toEqual(['messages-lost:a', 'a=1'])
  })
})

test('rewind: Infinity says messages-lost where the beginning is gone', async () => {
  await opened({ history: { maxBytes: 5_000, maxBytesPerTopic: 1_500 } })
  publish('1', '2')
  await stage.client('one')
  await stage.streamer.subscribe('one', 'a', { rewind: Infinity })
  expect((await stage.connect('one')).got).toEqual(['a=1', 'a=2'])
  publish('3')
  await stage.client('two')
  await stage.streamer.subscribe('two', 'a', { rewind: Infinity })
  expect((await stage.connect('two')).got).toEqual(['messages-lost:a', 'a=2', 'a=3'])
})

describe('a function that fails', () => {
  test.each([
    ['throws', () => JSON.parse('{') as string],
    ['gives a number', () => 5 as never],
    ['gives a promise', () => Promise.reject(new Error('no')) as never],
  ])('is reported once, and harms no message: it %s', async (_how, by) => {
    await opened({ topics: [{ match: 'a', retain: { by } }] })
    const errors: Error[] = []
    stage.streamer.on('error', (error) => errors.push(error))
    const page = await stage.connect('first')
    publish('1', '2')
    await turns()
    expect(page.got).toEqual(['a=1', 'a=2'])
    expect(errors.map(({ message }) => message)).toEqual([
      'A function of topics failed, where match is "a". It is reported once.',
    ])
  })
})

const bad: [unknown, string][] = [
  [5, 'topics takes a list'],
  [[null], 'topics[0]'],
  [[{}], 'match takes a pattern'],
  [[{ match: '' }], 'match takes a pattern'],
  [[{ match: [] }], 'match takes a pattern'],
  [[{ match: 'a..b' }], 'it has an empty segment'],
  [[{ match: 'orders.{sub}' }], 'it has no claims'],
  [[{ match: 'message' }], 'EventSource uses it'],
  [[{ match: 'a\nb' }], "can't hold CR"],
  [[{ match: '*' }, { match: 'a' }], '"*" stands before it'],
  [[{ match: 'a', retain: -1 }], 'retain takes a whole number'],
  [[{ match: 'a', retain: 1.5 }], 'retain takes a whole number'],
  [[{ match: 'a', retain: { by: 'x' } }], 'retain takes a whole number'],
  [[{ match: 'a', retain: { by: symbol, to: 1 } }], 'retain takes a whole number'],
  [[{ match: 'a', retian: 1 }], 'Did you mean retain?'],
]
test.each(bad)('topics: %j is refused', (topics, says) => {
  stage = new Stage()
  const make = () => new Streamer(memoryDriver(), { topics } as StreamerOptions)
  expect(make).toThrow(expect.objectContaining({ code: 'ERR_UNIFROST_OPTIONS' }))
  expect(make).toThrow(says)
})
