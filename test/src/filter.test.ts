import type { StreamerOptions } from '../../src/options.js'
import { Streamer } from '../../src/streamer.js'
import { ManualClock } from '../support/manual-clock.js'
import { openPage, Stage, turns } from '../support/stage.js'
import { StubLog } from '../support/stub-log.js'

let stage: Stage
let errors: Error[]

async function opened(options: StreamerOptions): Promise<void> {
  stage = new Stage(options)
  errors = []
  stage.streamer.on('error', (error) => errors.push(error))
  for (const language of ['de', 'fr']) {
    await stage.streamer.newCustomClient(language, { labels: { language } })
    await stage.streamer.subscribe(language, 'a')
  }
}

function publish(...payloads: string[]): void {
  for (const payload of payloads) stage.driver.publish('a', payload)
}

const byLanguage = {
  match: 'a',
  filter: ({ labels }: { labels: Readonly<Record<string, string>> }, message: string) =>
    message.startsWith('*') || message.startsWith(labels['language'] ?? '?'),
}

describe('a topic with a filter', () => {
  afterEach(() => stage.dispose())

  test('gives each client what it lets through, in order with other topics', async () => {
    await opened({ topics: [byLanguage] })
    await stage.streamer.subscribe('de', 'b')
    const [de, fr] = [await stage.connect('de'), await stage.connect('fr')]
    publish('de1', 'fr1')
    stage.driver.publish('b', 'x')
    publish('*2', 'de3')
    await turns()
    expect(de.got).toEqual(['a=de1', 'b=x', 'a=*2', 'a=de3'])
    expect(fr.got).toEqual(['a=fr1', 'a=*2'])
    publish('fr4')
    await turns()
    expect([de.got.length, fr.got.at(-1)]).toEqual([4, 'a=fr4'])
  })

  test('holds for who comes back, and what is skipped is no loss', async () => {
    await opened({ topics: [byLanguage] })
    const page = await stage.connect('de')
    publish('de1')
    await turns()
    const { lastEventId } = page
    page.cut()
    publish('fr2', 'de3', 'fr4')
    expect((await stage.connect('de', lastEventId)).got).toEqual(['a=de3'])
  })

  test('without a position, tells no loss of what was skipped', async () => {
    await opened({ topics: [byLanguage] })
    const page = await stage.connect('de')
    publish('fr1')
    await turns()
    page.cut()
    publish('de2')
    expect((await stage.connect('de')).got).toEqual(['a=de2'])
  })

  test('holds for a past that is asked for, and for the last values', async () => {
    await opened({ topics: [{ ...byLanguage, retain: 3 }] })
    publish('fr1', 'de2', 'fr3')
    for (const [id, options] of Object.entries({ past: { rewind: 3 }, last: {} })) {
      await stage.streamer.newCustomClient(id, { labels: { language: 'de' } })
      const page = await stage.connect(id)
      await stage.streamer.subscribe(id, 'a', options)
      await turns()
      expect(page.got).toEqual(['a=de2'])
    }
  })

  test('leaves a client its position where none of the last values is for it', async () => {
    await opened({ topics: [{ ...byLanguage, retain: 1 }] })
    publish('fr1')
    const page = await stage.connect('de')
    expect([page.got, page.lastEventId]).toEqual([[], expect.stringMatching(/./)])
  })

  test('holds for a slow reader', async () => {
    await opened({ topics: [byLanguage] })
    const page = await stage.connect('de', undefined, 1)
    publish('de1', 'fr2', 'de3', 'fr4')
    await turns()
    publish('fr5', 'de6')
    for (let i = 0; i < 10; i++) {
      void page.got
      await turns()
    }
    expect(page.got).toEqual(['a=de1', 'a=de3', 'a=de6'])
  })

  test('tells everybody of a gap, and of the end', async () => {
    await opened({ topics: [byLanguage] })
    const page = await stage.connect('de')
    stage.driver.last('a').sink.gap('the link broke')
    await stage.streamer.endTopic('a')
    await turns()
    expect(page.got).toEqual(['messages-lost:a', '{"end":{"topic":"a"}}'])
  })

  test.each([
    ['throws', () => JSON.parse('{') as boolean],
    ['answers later', (() => Promise.resolve(true)) as unknown as () => boolean],
  ])('gives nobody a message for which it %s, and reports it once', async (_, filter) => {
    await opened({ topics: [{ match: 'a', filter, retain: 1 }] })
    const page = await stage.connect('de')
    publish('1', '2')
    await turns()
    page.cut()
    publish('3')
    expect(page.got).toEqual([])
    expect((await stage.connect('de', page.lastEventId)).got).toEqual([])
    expect((await openPage(stage.streamer, ['a'])).got).toEqual([])
    expect(errors.map(({ message }) => message)).toEqual([
      'A function of topics failed, where match is "a". It is reported once.',
    ])
  })
})

test('a filter holds for what is read again from a log', async () => {
  const log = new StubLog()
  const clock = new ManualClock()
  const options = { clock, heartbeatInterval: 0, history: { maxAge: 100 } }
  const filter = (_: unknown, message: string) => message !== 'secret'
  const streamer = new Streamer(log.server(), { ...options, topics: [{ match: 'a', filter }] })
  const first = await openPage(streamer, ['a', 'b'])
  await turns()
  log.publish(['b'], '0')
  await turns()
  const { lastEventId } = first
  first.cut()
  for (const text of ['1', 'secret', '3']) log.publish(['a', 'b'], text)
  await turns()
  clock.advance(1_000)
  const page = await openPage(streamer, ['a', 'b'], lastEventId)
  for (let i = 0; i < 20; i++) await turns()
  expect(page.got).toEqual(['a=1', 'b=1', 'b=secret', 'a=3', 'b=3'])
  await streamer.close()
})
