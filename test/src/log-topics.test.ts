import type { StreamerOptions } from '../../src/options.js'
import { Streamer } from '../../src/streamer.js'
import { ManualClock } from '../support/manual-clock.js'
import type { Page } from '../support/stage.js'
import { openPage, turns } from '../support/stage.js'
import { StubLog } from '../support/stub-log.js'

const clock = new ManualClock()
let log: StubLog
let streamers: Streamer[]

beforeEach(() => {
  log = new StubLog()
  streamers = []
})
afterEach(async () => {
  await Promise.all(streamers.map((streamer) => streamer.close()))
})

function server(options: StreamerOptions): Streamer {
  const streamer = new Streamer(log.server(), { clock, heartbeatInterval: 0, ...options })
  streamers.push(streamer)
  return streamer
}

async function connect(streamer: Streamer, topics: string[], after?: string): Promise<Page> {
  const page = await openPage(streamer, topics, after)
  for (let i = 0; i < 20; i++) await turns()
  return page
}

const END = '{"end":{"topic":"a"}}'

describe('with a log', () => {
  test('the last values go to who comes later, who goes on at any server', async () => {
    const topics = [{ match: '*', retain: 2 }]
    const [one, two] = [server({ topics }), server({ topics })]
    await connect(one, ['a', 'b'])
    for (const text of ['1', '2', '3']) log.publish(['a'], text)
    log.publish(['a', 'b'], 'both')
    await turns()
    const page = await connect(one, ['a', 'b'])
    expect(page.got).toEqual(['a=3', 'a=both', 'b=both'])
    log.publish(['b'], '5')
    expect((await connect(two, ['a', 'b'], page.lastEventId)).got).toEqual(['b=5'])
  })

  test('an end in the log ends the topic on every server, at one place', async () => {
    const topics = [{ match: '*', end: (payload: string) => payload === 'done' }]
    const [one, two] = [server({ topics }), server({ topics })]
    const pages = await Promise.all([connect(one, ['a', 'b']), connect(two, ['a', 'b'])])
    log.publish(['a'], '1')
    log.publish(['a', 'c'], 'done')
    log.publish(['a'], 'late')
    log.publish(['b'], 'x')
    await turns()
    for (const page of pages) expect(page.got).toEqual(['a=1', 'a=done', END, 'b=x'])
  })

  test('an end that is read again ends the topic for who comes from before', async () => {
    const topics = [{ match: '*', end: (payload: string) => payload === 'done' }]
    const page = await connect(server({ topics }), ['a'])
    log.publish(['a'], '1')
    await turns()
    expect(page.got).toEqual(['a=1'])
    log.publish(['a'], 'done')
    log.publish(['a'], 'late')
    log.publish(['b'], 'x')
    const other = server({ topics })
    expect((await connect(other, ['a'], page.lastEventId)).got).toEqual(['a=done', END])
    expect((await connect(other, ['a'])).got).toEqual([END])
  })

  test('an end that the history has let go of comes behind what is read again', async () => {
    const one = server({ history: { maxAge: 100 } })
    const page = await connect(one, ['a', 'b'])
    log.publish(['b'], '0')
    await turns()
    const { lastEventId } = page
    log.publish(['a'], '1')
    await turns()
    await one.endTopic('a')
    log.publish(['b'], '2')
    await turns()
    clock.advance(1_000)
    const again = await connect(one, ['a', 'b'], lastEventId)
    expect(again.got).toEqual(['a=1', 'b=2', END])
  })

  test('nothing of a log that was made anew is a last value', async () => {
    const one = server({ topics: [{ match: 'a', retain: 2 }] })
    await connect(one, ['a'])
    log.publish(['a'], 'old')
    log.remake()
    log.publish(['a'], 'new')
    await turns()
    expect((await connect(one, ['a'])).got).toContain('a=new')
    expect((await connect(one, ['a'])).got).not.toContain('a=old')
  })
})
