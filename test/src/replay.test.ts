import type { Page } from '../support/stage.js'
import { openPage, Stage, turns } from '../support/stage.js'

let stage: Stage
afterEach(() => stage.dispose())

const PARTS = Array.from({ length: 8 }, (_, i) => `a=${i + 1}`)

/** Publishes the parts of an answer, with messages of another topic between them. */
async function publishAnswer(): Promise<void> {
  for (let i = 1; i <= PARTS.length; i++) {
    stage.driver.publish('a', `${i}`)
    stage.driver.publish('other', `${i}`)
  }
  await turns()
}

/** What a page got whose connection takes so many bytes, and is cut then. */
async function cutAfter(bytes: number, open: () => Promise<Page>): Promise<Page> {
  const page = await open()
  page.take(bytes)
  page.cut()
  await turns()
  return page
}

/** Each number of bytes at which a stream of a page can be cut. */
async function everyCut(open: () => Promise<Page>): Promise<number> {
  const page = await open()
  await turns()
  return page.response.inFlightBytes
}

describe('a client that is cut in the middle of what lies behind it gets the rest, once', () => {
  const kinds: Record<string, () => Promise<void>> = {
    'with rewind, before its first stream': async () => {
      await stage.client('me', 'other')
      await stage.streamer.subscribe('me', 'a', { rewind: 100 })
    },
    'with after, before its first stream': async () => {
      await stage.client('me')
      await stage.streamer.subscribe('me', 'a', { after: start })
    },
  }
  let start: string

  async function begin(): Promise<void> {
    stage = new Stage()
    await stage.client('opener', 'a', 'other')
    const probe = await stage.connect('opener')
    start = probe.lastEventId
    await publishAnswer()
  }

  test.each(Object.entries(kinds))('%s', async (_, subscribe) => {
    await begin()
    await subscribe()
    const whole = await everyCut(() => stage.connect('me'))
    await stage.dispose()
    for (let bytes = 0; bytes <= whole; bytes += 7) {
      await begin()
      await subscribe()
      const first = await cutAfter(bytes, () => stage.connect('me'))
      const second = await stage.connect('me', first.lastEventId || undefined)
      stage.driver.publish('a', '9')
      await turns()
      // A page that has got no position at all names none, and what was on its way is not known.
      if (first.lastEventId !== '') {
        expect({ bytes, got: [...first.got, ...second.got] }).toEqual({
          bytes,
          got: [...PARTS, 'a=9'],
        })
      }
      await stage.dispose()
    }
    await begin()
  })

  test.each([{ rewind: 100 }, { after: true }])('while it is connected: %p', async (options) => {
    const join = async () => {
      await stage.client('me', 'other')
      return stage.connect('me')
    }
    const subscribe = () =>
      stage.streamer.subscribe('me', 'a', options.after ? { after: start } : { rewind: 100 })
    await begin()
    let page = await join()
    page.take(Infinity)
    await subscribe()
    const whole = page.response.inFlightBytes
    expect(whole).toBeGreaterThan(0)
    await stage.dispose()
    for (let bytes = 0; bytes <= whole; bytes += 7) {
      await begin()
      page = await join()
      page.take(Infinity)
      await subscribe()
      page.take(bytes)
      page.cut()
      await turns()
      const second = await stage.connect('me', page.lastEventId)
      stage.driver.publish('a', '9')
      stage.driver.publish('other', '9')
      await turns()
      expect({ bytes, got: [...page.got, ...second.got] }).toEqual({
        bytes,
        got: [...PARTS, 'a=9', 'other=9'],
      })
      await stage.dispose()
    }
    await begin()
  })

  test('as an automatic client, from the position of its first stream on', async () => {
    await begin()
    const open = (after?: string) => openPage(stage.streamer, ['a'], after)
    const whole = await everyCut(() => open(start))
    await stage.dispose()
    for (let bytes = 0; bytes <= whole; bytes += 7) {
      await begin()
      const first = await cutAfter(bytes, () => open(start))
      const second = await open(first.lastEventId || start)
      expect({ bytes, got: [...first.got, ...second.got] }).toEqual({ bytes, got: PARTS })
      await stage.dispose()
    }
    await begin()
  })
})

test('two replays of one client, cut anywhere, bring each frame once', async () => {
  let whole = Infinity
  for (let bytes = 0; bytes <= whole; bytes += 5) {
    stage = new Stage()
    await stage.client('opener', 'a', 'b', 'other')
    for (let i = 1; i <= 3; i++) {
      stage.driver.publish('b', `${i}`)
      stage.driver.publish('a', `${i}`)
    }
    await stage.client('me', 'other')
    const page = await stage.connect('me')
    page.take(Infinity)
    await stage.streamer.subscribe('me', 'a', { rewind: 10 })
    await stage.streamer.subscribe('me', 'b', { rewind: 10 })
    whole = page.response.inFlightBytes
    page.take(bytes)
    page.cut()
    await turns()
    const second = await stage.connect('me', page.lastEventId)
    stage.driver.publish('b', '4')
    await turns()
    expect({ bytes, got: [...page.got, ...second.got] }).toEqual({
      bytes,
      got: ['a=1', 'a=2', 'a=3', 'b=1', 'b=2', 'b=3', 'b=4'],
    })
    await stage.dispose()
  }
  stage = new Stage()
})

test('what the history let go of in the middle of a replay is told', async () => {
  stage = new Stage({ history: { maxBytes: 6 * 700, maxBytesPerTopic: 6 * 700 } })
  await stage.client('opener', 'a')
  for (let i = 1; i <= 5; i++) stage.driver.publish('a', `${i}`)
  await stage.client('me')
  const page = await stage.connect('me')
  page.take(Infinity)
  await stage.streamer.subscribe('me', 'a', { rewind: 10 })
  page.take(Math.floor(page.response.inFlightBytes / 2))
  page.cut()
  await turns()
  for (let i = 6; i <= 20; i++) stage.driver.publish('a', `${i}`)
  await turns()
  const second = await stage.connect('me', page.lastEventId)
  expect(second.got[0]).toBe('messages-lost:a')
  expect(second.got.at(-1)).toBe('a=20')
})

test('unsubscribed and subscribed again, a client gets nothing of the time between', async () => {
  stage = new Stage()
  await stage.client('opener', 'a')
  stage.driver.publish('a', '1')
  await stage.client('me')
  const page = await stage.connect('me')
  await stage.streamer.subscribe('me', 'a', { rewind: 1 })
  page.take(Infinity)
  await stage.streamer.unsubscribe('me', 'a')
  stage.driver.publish('a', 'between')
  await stage.streamer.subscribe('me', 'a')
  page.cut()
  await turns()
  const second = await stage.connect('me', page.lastEventId)
  stage.driver.publish('a', '3')
  await turns()
  expect([...page.got, ...second.got]).toEqual(['a=1', 'a=3'])
})

describe('a topic that was closed and is opened anew', () => {
  test.each([true, false])(
    'tells a client from before that messages may be missing (transient: %p)',
    async (transient) => {
      stage = new Stage({ clientTTL: 1_000, topicLinger: 100 })
      const open = async (after?: string) => {
        if (transient) return openPage(stage.streamer, ['a'], after)
        await stage.streamer.newCustomClient('me').catch(() => undefined)
        await stage.streamer.subscribe('me', 'a', { after })
        return stage.connect('me', after)
      }
      const first = await open()
      stage.driver.publish('a', '1')
      await turns()
      expect(first.got).toEqual(['a=1'])
      first.cut()
      await turns()
      await stage.wait(1_200)
      expect(stage.streamer.stats().topics).toBe(0)
      const second = await open(first.lastEventId)
      stage.driver.publish('a', '3')
      await turns()
      expect(second.got).toEqual(['messages-lost:a', 'a=3'])
      expect(stage.streamer.stats().resumes.exact).toBe(0)
    },
  )
})
