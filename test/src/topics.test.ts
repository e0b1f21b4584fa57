import { SubscribeError, TooManyTopicsError, TopicNameError } from '../../src/errors.js'
import { unsealed } from '../support/positions.js'
import { Stage, turns } from '../support/stage.js'

let stage: Stage
afterEach(() => stage.dispose())

const asked = () => stage.driver.openings.map(({ topic }) => topic)

describe('subscribe', () => {
  test('does nothing the second time, and opens a topic once for two callers', async () => {
    stage = new Stage()
    await stage.client('one', 'a')
    await stage.client('two')
    await Promise.all([
      stage.streamer.subscribe('one', 'a'),
      stage.streamer.subscribe('two', 'a'),
      stage.streamer.subscribe('two', 'b'),
      stage.streamer.subscribe('one', 'b'),
    ])
    expect(asked()).toEqual(['a', 'b'])
    const page = await stage.connect('one')
    stage.driver.publish('a', '1')
    await turns()
    expect(page.got).toEqual(['a=1'])
  })

  test('resolves for all callers when the broker has opened the topic', async () => {
    stage = new Stage()
    stage.driver.direct = false
    await stage.client('one')
    await stage.client('two')
    const opened: string[] = []
    const both = ['one', 'two'].map(async (id) => {
      await stage.streamer.subscribe(id, 'a')
      opened.push(id)
    })
    await turns()
    expect(opened).toEqual([])
    stage.driver.last('a').open()
    await Promise.all(both)
    expect(opened).toEqual(['one', 'two'])
  })

  test('is cancelled by an unsubscribe while it is pending', async () => {
    stage = new Stage({ topicLinger: 0 })
    stage.driver.direct = false
    await stage.client('one')
    const subscribing = stage.streamer.subscribe('one', 'a')
    await turns()
    await stage.streamer.unsubscribe('one', 'a')
    stage.driver.last('a').open()
    await subscribing
    expect(stage.streamer.getClient('one')!.topics).toEqual([])
    await turns()
    expect(stage.driver.last('a').closes).toBe(1)
    expect(stage.streamer.stats().topics).toBe(0)
  })

  test('waits for a close of the same topic, and opens it anew', async () => {
    stage = new Stage({ topicLinger: 0 })
    stage.driver.slowClose = true
    await stage.client('one', 'a')
    const old = stage.driver.last('a')
    await stage.streamer.unsubscribe('one', 'a')
    await turns()
    expect(old.closes).toBe(1)
    const subscribed = jest.fn()
    const subscribing = stage.streamer.subscribe('one', 'a').then(subscribed)
    await turns()
    expect(asked()).toEqual(['a'])
    old.sink.message('late')
    old.closed()
    await subscribing
    expect(asked()).toEqual(['a', 'a'])
    const page = await stage.connect('one')
    stage.driver.publish('a', 'new')
    await turns()
    expect(page.got).toEqual(['a=new'])
    stage.driver.slowClose = false
  })

  test('rejects with what the driver says, and can be tried again at once', async () => {
    stage = new Stage()
    stage.driver.direct = false
    await stage.client('one', ...[])
    await stage.client('two')
    const cause = new Error('No permission for a. Grant it.')
    const refused = ['one', 'two'].map((id) => stage.streamer.subscribe(id, 'a'))
    await turns()
    stage.driver.last('a').refuse(cause)
    for (const one of refused) {
      await expect(one).rejects.toThrow(SubscribeError)
      await expect(one).rejects.toMatchObject({ topic: 'a', cause, status: 502 })
    }
    expect(stage.streamer.getClient('one')!.topics).toEqual([])
    expect(stage.streamer.stats().topics).toBe(0)
    stage.driver.direct = true
    await stage.streamer.subscribe('one', 'a')
    expect(asked()).toEqual(['a', 'a'])
  })

  test('rejects where the driver fails inside of its subscribe, and leaves nothing open', async () => {
    stage = new Stage()
    await stage.client('one')
    const { driver } = stage
    const subscribe = driver.subscribe.bind(driver)
    driver.subscribe = (topic, sink) => {
      sink.message('early')
      sink.fail(new Error('at once'))
      return subscribe(topic, sink)
    }
    await expect(stage.streamer.subscribe('one', 'a')).rejects.toThrow(SubscribeError)
    await turns()
    expect(stage.streamer.getClient('one')!.topics).toEqual([])
    expect(driver.last('a').closes).toBe(1)
  })

  test('rejects where the driver throws instead', async () => {
    stage = new Stage()
    await stage.client('one')
    stage.driver.subscribe = () => {
      throw new Error('thrown')
    }
    await expect(stage.streamer.subscribe('one', 'a')).rejects.toThrow(SubscribeError)
  })

  test('takes maxTopics, and names that can be topics', async () => {
    stage = new Stage({ maxTopics: 2, maxTopicLength: 3 })
    await stage.client('one', 'a', 'b')
    await stage.streamer.subscribe('one', 'a')
    const refused = stage.streamer.subscribe('one', 'c')
    await expect(refused).rejects.toThrow(TooManyTopicsError)
    await expect(refused).rejects.toThrow('2 topics')
    for (const name of ['', 'message', 'a\nb', 'four']) {
      await expect(stage.streamer.subscribe('one', name)).rejects.toThrow(TopicNameError)
    }
    expect(asked()).toEqual(['a', 'b'])
  })

  test.each([{ rewind: -1 }, { rewind: 1.5 }, { rewind: 1, after: 'x' }])(
    'refuses %j',
    async (options) => {
      stage = new Stage()
      await stage.client('one')
      const refused = stage.streamer.subscribe('one', 'a', options)
      await expect(refused).rejects.toMatchObject({ code: 'ERR_UNIFROST_OPTIONS' })
      expect(asked()).toEqual([])
    },
  )

  test('with rewind sends the last ones first, each with an id that says how far it is', async () => {
    stage = new Stage()
    await stage.client('one', 'a')
    for (const payload of ['1', '2', '3', '4']) stage.driver.publish('a', payload)
    await stage.client('two')
    const page = await stage.connect('two')
    await stage.streamer.subscribe('two', 'a', { rewind: 2 })
    stage.driver.publish('a', '5')
    await turns()
    expect(page.got).toEqual(['a=3', 'a=4', 'a=5'])
    const [first, ...ids] = page.events.map(({ lastEventId }) => unsealed(lastEventId))
    expect(ids).toEqual([`${first}@1.3.a`, `${first}@1.4.a`, first!.replace('-4', '-5')])
  })
})

describe('unsubscribe', () => {
  test('takes effect at once, also for a client that is disconnected', async () => {
    stage = new Stage()
    await stage.client('one', 'a', 'b')
    const first = await stage.connect('one')
    const { lastEventId } = first
    first.response.destroy()
    await turns()
    stage.driver.publish('a', '1')
    stage.driver.publish('b', '2')
    await stage.streamer.unsubscribe('one', 'a')
    await stage.streamer.unsubscribe('one', 'never')
    const page = await stage.connect('one', lastEventId)
    stage.driver.publish('a', '3')
    await turns()
    expect(page.got).toEqual(['b=2'])
  })

  test('after a failure sends neither the messages nor the failure of that topic', async () => {
    stage = new Stage()
    await stage.client('one', 'a')
    const first = await stage.connect('one')
    const { lastEventId } = first
    first.response.destroy()
    await turns()
    stage.driver.publish('a', '1')
    stage.driver.last('a').sink.fail(new Error('gone'))
    await stage.streamer.unsubscribe('one', 'a')
    expect((await stage.connect('one', lastEventId)).got).toEqual([])
  })
})

describe('a topic', () => {
  test('without subscribers stays open for topicLinger', async () => {
    stage = new Stage({ topicLinger: 500 })
    await stage.client('one', 'a')
    await stage.streamer.unsubscribe('one', 'a')
    await stage.wait(499)
    await stage.streamer.subscribe('one', 'a')
    await stage.wait(5_000)
    expect(asked()).toEqual(['a'])
    expect(stage.driver.last('a').closes).toBe(0)
    await stage.streamer.unsubscribe('one', 'a')
    await stage.wait(500)
    expect(stage.driver.last('a').closes).toBe(1)
    expect(stage.streamer.stats()).toMatchObject({ topics: 0, history: { frames: 0 } })
  })

  test('whose close fails is reported, and can be opened again', async () => {
    stage = new Stage({ topicLinger: 0 })
    stage.driver.slowClose = true
    const errors: unknown[] = []
    stage.streamer.on('error', ({ cause }) => errors.push(cause))
    await stage.client('one', 'a')
    await stage.streamer.unsubscribe('one', 'a')
    await turns()
    const cause = new Error('broker')
    stage.driver.last('a').closed(cause)
    stage.driver.slowClose = false
    await stage.streamer.subscribe('one', 'a')
    expect(errors).toEqual([cause])
    expect(asked()).toEqual(['a', 'a'])
  })

  test.each([undefined, null, 42, { text: 'an object' }, [1], Promise.resolve('x')])(
    'whose driver hands over %p in place of a payload tells that as a loss, in its place',
    async (payload) => {
      stage = new Stage()
      const errors: Error[] = []
      stage.streamer.on('error', (error) => errors.push(error))
      await stage.client('one', 'a')
      const page = await stage.connect('one')
      const { sink } = stage.driver.last('a')
      sink.message('1')
      expect(() => sink.message(payload as unknown as string)).not.toThrow()
      sink.message('2')
      await turns()
      expect(page.got).toEqual(['a=1', 'messages-lost:a', 'a=2'])
      expect(errors.map(({ message }) => message)).toEqual([
        'A message of topic "a" could not be taken.',
      ])
      expect(stage.streamer.stats().gaps).toBe(1)
    },
  )

  test('that fails gives subscription-failure in its place, also to disconnected and slow clients', async () => {
    stage = new Stage()
    const errors: unknown[] = []
    stage.streamer.on('error', ({ cause }) => errors.push(cause))
    for (const id of ['fast', 'slow', 'away', 'new']) await stage.client(id, 'a')
    const fast = await stage.connect('fast')
    const slow = await stage.connect('slow', undefined, 10)
    const away = await stage.connect('away')
    const { lastEventId } = away
    slow.response.stopReading()
    away.response.destroy()
    await turns()
    const opening = stage.driver.last('a')
    const cause = new Error('secret of the server')
    for (const payload of ['1', '2']) {
      opening.sink.message(payload)
      await turns()
    }
    opening.sink.fail(cause)
    opening.sink.fail(cause)
    opening.sink.message('late')
    await turns()
    slow.response.read(Infinity)
    await turns()
    const right = ['a=1', 'a=2', 'subscription-failure:a']
    expect(fast.got).toEqual(right)
    expect(slow.got).toEqual(right)
    expect((await stage.connect('away', lastEventId)).got).toEqual(right)
    expect((await stage.connect('new')).got).toEqual(right)
    expect(errors).toEqual([cause])
    expect(fast.events.some(({ data }) => data.includes('secret'))).toBe(false)
    expect(opening.closes).toBe(1)
    expect(stage.streamer.getClient('fast')!.topics).toEqual([])
    await stage.streamer.subscribe('fast', 'a')
    stage.driver.publish('a', 'again')
    await turns()
    expect(fast.got).toEqual([...right, 'a=again'])
  })

  test('that failed long ago gives messages-lost to a client that did not get the failure', async () => {
    stage = new Stage({ history: { maxAge: 100 } })
    await stage.client('one', 'a')
    const first = await stage.connect('one')
    const { lastEventId } = first
    stage.driver.last('a').sink.fail(new Error('gone'))
    await turns()
    await stage.wait(1_000)
    expect(stage.streamer.stats().history.frames).toBe(0)
    first.response.destroy()
    await turns()
    const second = await stage.connect('one', lastEventId)
    expect(second.got).toEqual(['messages-lost:a'])
    await stage.streamer.subscribe('one', 'a')
    stage.driver.publish('a', '1')
    await turns()
    expect((await stage.connect('one', second.lastEventId)).got).toEqual([])
  })

  test('that failed more often than is remembered makes older positions unknown', async () => {
    stage = new Stage()
    await stage.client('one', 'b')
    const page = await stage.connect('one')
    const { lastEventId } = page
    for (let i = 0; i < 40; i++) {
      await stage.streamer.subscribe('one', 'a')
      stage.driver.last('a').sink.fail(new Error('gone'))
      await turns()
    }
    expect(page.got).toEqual(new Array(40).fill('subscription-failure:a'))
    expect((await stage.connect('one', page.lastEventId)).got).toEqual([])
    expect((await stage.connect('one', lastEventId)).got).toEqual(['messages-lost:b'])
  })

  test('with a gap gives messages-lost in its place', async () => {
    stage = new Stage()
    await stage.client('one', 'a', 'b')
    const page = await stage.connect('one')
    stage.driver.publish('a', '1')
    stage.driver.last('a').sink.gap('secret reason')
    stage.driver.publish('b', '2')
    stage.driver.publish('a', '3')
    await turns()
    expect(page.got).toEqual(['a=1', 'messages-lost:a', 'b=2', 'a=3'])
    expect(page.events.some(({ data }) => data.includes('secret'))).toBe(false)
  })
})

test('messages of one turn that exceed the bounds are written before they are dropped', async () => {
  stage = new Stage({ history: { maxBytes: 20_000, maxBytesPerTopic: 10_000 } })
  await stage.client('one', 'a')
  const page = await stage.connect('one')
  const before = page.response.inFlightBytes
  const payload = 'x'.repeat(1_000)
  for (let i = 0; i < 200; i++) stage.driver.publish('a', payload)
  // Not yet the end of the turn: nothing may wait outside of the history's bounds.
  expect(page.response.inFlightBytes - before).toBeGreaterThan(180 * 1_000)
  await turns()
  expect(page.got).toEqual(new Array(200).fill(`a=${payload}`))
  expect(stage.streamer.stats()).toMatchObject({ messagesLost: 0, sent: 200 })
})
