import type { StreamerOptions } from '../../src/options.js'
import { openPage, Stage, turns } from '../support/stage.js'

let stage: Stage
afterEach(() => stage.dispose())

const END = '{"end":{"topic":"a"}}'

async function opened(options: StreamerOptions = {}): Promise<void> {
  stage = new Stage(options)
  await stage.client('first', 'a')
}

function publish(...payloads: string[]): void {
  for (const payload of payloads) stage.driver.publish('a', payload)
}

const isLast = (payload: string) => payload === 'done'

describe('endTopic', () => {
  test('tells the end behind what was published, and unsubscribes', async () => {
    await opened()
    const page = await stage.connect('first')
    publish('1')
    expect(await stage.streamer.endTopic('a')).toEqual({ clients: 1 })
    stage.driver.last('a').sink.message('late')
    await turns()
    expect(page.got).toEqual(['a=1', END])
    expect(stage.streamer.getClient('first')!.topics).toEqual([])
    expect(stage.driver.last('a').closes).toBe(1)
    expect(await stage.streamer.endTopic('a')).toEqual({ clients: 0 })
  })

  test('is told to who was away, once it is back', async () => {
    await opened()
    const page = await stage.connect('first')
    page.cut()
    publish('1')
    await stage.streamer.endTopic('a')
    expect((await stage.connect('first', page.lastEventId)).got).toEqual(['a=1', END])
  })

  test.each(['subscribes to it', 'names it in the address'])(
    'answers who %s later with what is retained and the end',
    async (how) => {
      await opened({ topics: [{ match: 'a', retain: 1 }], history: { maxAge: 100 } })
      publish('1', '2')
      await stage.streamer.endTopic('a')
      await stage.wait(1_000)
      if (how === 'subscribes to it') await stage.client('late', 'a')
      const page =
        how === 'subscribes to it'
          ? await stage.connect('late')
          : await openPage(stage.streamer, ['a'])
      expect(page.got).toEqual(['a=2', END])
      expect(stage.driver.openings).toHaveLength(1)
    },
  )

  test('answers a stream that is open already', async () => {
    await opened()
    await stage.streamer.endTopic('a')
    await stage.client('late', 'b')
    const page = await stage.connect('late')
    stage.driver.publish('b', 'x')
    await turns()
    await stage.streamer.subscribe('late', 'a')
    stage.driver.publish('b', 'y')
    await turns()
    expect(page.got).toEqual(['b=x', END, 'b=y'])
  })

  test('is answered again where the stream was cut before it', async () => {
    await opened({ topics: [{ match: 'a', retain: 1 }] })
    publish('1')
    await stage.streamer.endTopic('a')
    await stage.client('late', 'a')
    const cut = await stage.connect('late')
    cut.take(150)
    cut.cut()
    expect((await stage.connect('late')).got).toEqual(['a=1', END])
  })

  test('gives who comes from before what it missed, and the end', async () => {
    await opened()
    const page = await openPage(stage.streamer, ['a'])
    publish('1')
    await turns()
    expect(page.got).toEqual(['a=1'])
    page.cut()
    publish('2')
    await stage.streamer.endTopic('a')
    expect((await openPage(stage.streamer, ['a'], page.lastEventId)).got).toEqual(['a=2', END])
  })

  describe('that the history has let go of', () => {
    async function ended(...payloads: string[]): Promise<string> {
      await opened({ topics: [{ match: 'a', retain: 1 }], history: { maxAge: 100 } })
      const page = await stage.connect('first')
      publish('0')
      await turns()
      const { lastEventId } = page
      page.cut()
      publish(...payloads)
      await stage.streamer.endTopic('a')
      await stage.wait(1_000)
      return lastEventId
    }

    test('comes behind the loss to who was away', async () => {
      const lastEventId = await ended('1', '2')
      const page = await stage.connect('first', lastEventId)
      expect(page.got).toEqual(['messages-lost:a', 'a=2', END])
      expect((await stage.connect('first', page.lastEventId)).got).toEqual([])
    })

    test('comes again where the stream was cut before it', async () => {
      const lastEventId = await ended('1')
      const whole = await stage.connect('first', lastEventId)
      const { length } = whole.response.receive()
      for (const bytes of [length - 1, length - 80]) {
        const cut = await stage.connect('first', lastEventId)
        cut.take(bytes)
        cut.cut()
        const { got } = await stage.connect('first', cut.lastEventId)
        expect(got.at(-1)).toBe(END)
      }
    })

    test.each(['at a position from before', 'with its past'])(
      'comes to who subscribes later %s',
      async (how) => {
        const lastEventId = await ended('1', '2')
        await stage.client('late', 'b')
        const page = await stage.connect('late')
        const options = how === 'with its past' ? { rewind: Infinity } : { after: lastEventId }
        await stage.streamer.subscribe('late', 'a', options)
        await turns()
        expect(page.got).toEqual(['messages-lost:a', 'a=2', END])
      },
    )
  })

  test('ends a topic that nobody has open', async () => {
    stage = new Stage()
    expect(await stage.streamer.endTopic('a')).toEqual({ clients: 0 })
    expect((await openPage(stage.streamer, ['a'])).got).toEqual([END])
    expect(stage.driver.openings).toEqual([])
  })

  test('refuses what can be no topic', async () => {
    stage = new Stage()
    await expect(stage.streamer.endTopic('a\n')).rejects.toMatchObject({
      code: 'ERR_UNIFROST_TOPIC_NAME',
    })
  })
})

describe('a message that is the end', () => {
  test('is sent, and the end behind it; nothing follows', async () => {
    await opened({ topics: [{ match: '*', end: isLast, retain: 1 }] })
    const page = await stage.connect('first')
    publish('1', 'done', 'late')
    await turns()
    expect(page.got).toEqual(['a=1', 'a=done', END])
    expect((await openPage(stage.streamer, ['a'])).got).toEqual(['a=done', END])
  })

  test('is none where the function fails, which is reported', async () => {
    await opened({ topics: [{ match: '*', end: () => 'yes' as never }] })
    const errors: Error[] = []
    stage.streamer.on('error', (error) => errors.push(error))
    const page = await stage.connect('first')
    publish('1', 'done')
    await turns()
    expect(page.got).toEqual(['a=1', 'a=done'])
    expect(errors).toHaveLength(1)
  })
})
