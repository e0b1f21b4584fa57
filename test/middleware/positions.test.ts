import express from 'express'
import Koa from 'koa'
import type { MemoryDriver, StreamerOptions } from 'unifrost'
import { memoryDriver, Streamer } from 'unifrost'
import * as forExpress from 'unifrost/express'
import * as forKoa from 'unifrost/koa'
import type { EventStream } from '../support/event-stream.js'
import { openEvents } from '../support/event-stream.js'
import { unsealed } from '../support/positions.js'
import { StubLog } from '../support/stub-log.js'
import { until } from '../support/until.js'
import { listen } from './support/apps.js'

type Build = (streamer: Streamer, may: (topic: string) => boolean) => never

const USER = { sub: 'ann' }

const expressApp: Build = (streamer, may) => {
  const app = express()
  app.use((asked, _response, next) => {
    Object.assign(asked, { user: USER })
    next()
  })
  const authorize = (_user: unknown, topic: string) => may(topic)
  app.use(forExpress.autoClient(streamer, { authorize }), forExpress.unifrostExpress(streamer))
  return app as never
}

const koaApp: Build = (streamer, may) => {
  const app = new Koa()
  app.silent = true
  app.use((ctx, next) => {
    ctx.state.user = USER
    return next()
  })
  const authorize = (_user: unknown, topic: string) => may(topic)
  app.use(forKoa.autoClient(streamer, { authorize }))
  app.use(forKoa.unifrostKoa(streamer))
  return app.callback() as never
}

const data = (stream: EventStream) =>
  stream.events.filter(({ event }) => event !== 'message').map((event) => event.data)
const lost = (stream: EventStream) =>
  stream.infos.flatMap(({ error }) => {
    const { code, topic } = Object(error) as { code?: string; topic?: string }
    return code === 'messages-lost' ? [topic] : []
  })

/** The position with another number, with its seal and without. */
const madeUp = (position: string) => {
  const other = position.replace(/-\d+=/, '-0=')
  return [other, unsealed(other)!, `${unsealed(position)!}=0000AAAAAAA`]
}

describe.each([
  ['Express', expressApp],
  ['Koa', koaApp],
])('a position that a request names, with %s', (_, build) => {
  let stop: (() => Promise<void>)[]
  let may: (topic: string) => boolean

  beforeEach(() => {
    stop = []
    may = () => true
  })
  afterEach(async () => {
    jest.restoreAllMocks()
    for (const end of stop.reverse()) await end()
  })

  async function start(
    driver: ConstructorParameters<typeof Streamer>[0],
    options: StreamerOptions,
  ) {
    const streamer = new Streamer(driver, { heartbeatInterval: 0, ...options })
    const { url, close } = await listen(build(streamer, (topic) => may(topic)))
    stop.push(
      () => streamer.close(),
      () => close(),
    )
    return { url, streamer }
  }

  async function open(url: string, position?: string): Promise<EventStream> {
    const stream = await openEvents(
      url,
      position === undefined ? {} : { 'last-event-id': position },
    )
    if (stream.status === 200) await stream.next('the first message', () => true)
    return stream
  }

  async function inMemory(options: StreamerOptions = {}) {
    const driver: MemoryDriver = memoryDriver()
    return { driver, ...(await start(driver, options)) }
  }

  test('that was made up brings nothing of the past, and the client is told', async () => {
    const { driver, url } = await inMemory()
    const first = await open(`${url}/?topic=a`)
    for (const text of ['one', 'two']) driver.publish('a', text)
    await first.next('two', (event) => event.data === 'two')
    for (const position of madeUp(first.lastEventId)) {
      for (const [address, header] of [
        [`${url}/?topic=a`, position],
        [`${url}/?topic=a&last_event_id=${encodeURIComponent(position)}`],
        [`${url}/?topic=a&lastEventId=${encodeURIComponent(position)}`],
      ] as const) {
        const stream = await open(address, header)
        driver.publish('a', 'after')
        await stream.next('the next message', (event) => event.data === 'after')
        expect([data(stream), lost(stream)]).toEqual([['after'], ['a']])
        stream.drop()
      }
    }
    const position = first.events.find((event) => event.data === 'one')!.id
    const honest = await open(`${url}/?topic=a`, position)
    await honest.next('the rest', (event) => event.data === 'after')
    expect(data(honest)[0]).toBe('two')
    expect(lost(honest)).toEqual([])
  })

  test('that was made up reads no log', async () => {
    const log = new StubLog()
    const former = log.server()
    const one = await start(former, {})
    const page = await open(`${one.url}/?topic=a`)
    for (let n = 1; n <= 200; n++) log.publish(['a'], `past ${n}`)
    await page.next('the last', (event) => event.data === 'past 200')
    const driver = log.server()
    const two = await start(driver, {})
    for (const position of madeUp(page.lastEventId)) {
      const stream = await open(`${two.url}/?topic=a`, position)
      log.publish(['a'], 'after')
      await stream.next('the next message', (event) => event.data === 'after')
      expect([data(stream), lost(stream)]).toEqual([['after'], ['a']])
      stream.drop()
    }
    expect(driver.reads).toEqual([])
    // Whoever was given it goes on exactly, on this server as well.
    const position = page.events.find((event) => event.data === 'past 150')!.id
    const honest = await open(`${two.url}/?topic=a`, position)
    await honest.next('the rest', (event) => event.data === 'after')
    expect([data(honest).slice(0, 2), lost(honest)]).toEqual([['past 151', 'past 152'], []])
  })

  test('of a log counts for its time, and not again later', async () => {
    const log = new StubLog()
    const options = { clientTTL: 60_000, history: { maxAge: 120_000 } }
    const { url } = await start(log.server(), options)
    const page = await open(`${url}/?topic=a`)
    log.publish(['a'], 'one')
    await page.next('one', (event) => event.data === 'one')
    const { lastEventId: position } = page
    page.drop()
    log.publish(['a'], 'two')
    const now = Date.now()
    const clock = jest.spyOn(Date, 'now')
    clock.mockImplementation(() => now + 170_000)
    const inTime = await open(`${url}/?topic=a`, position)
    await inTime.next('two', (event) => event.data === 'two')
    expect(lost(inTime)).toEqual([])
    clock.mockImplementation(() => now + 200_000)
    const late = await open(`${url}/?topic=a`, position)
    log.publish(['a'], 'three')
    await late.next('three', (event) => event.data === 'three')
    expect([data(late), lost(late)]).toEqual([['three'], ['a']])
  })

  test.each([['with a log'], ['without']])(
    'brings nothing of the time when the topic was not allowed, %s',
    async (how) => {
      const log = new StubLog()
      const memory = memoryDriver()
      const isLog = how === 'with a log'
      const { url, streamer } = await start(isLog ? log.server() : memory, {})
      const publish = (topic: string, text: string) =>
        void (isLog ? log.publish([topic], text) : memory.publish(topic, text))
      const page = await open(`${url}/?topic=room&topic=news`)
      publish('room', 'for her')
      await page.next('for her', (event) => event.data === 'for her')
      const { lastEventId: position } = page
      page.drop()
      await until('she has left', () => streamer.totalClients === 0)
      may = (topic) => topic !== 'room'
      publish('room', 'not for her')
      const without = await open(`${url}/?topic=room&topic=news`, position)
      without.drop()
      publish('room', 'not for her either')
      publish('news', 'news')
      may = () => true
      const again = await open(`${url}/?topic=room&topic=news`, position)
      await again.next('what she had a right to', (event) => event.data === 'news')
      publish('room', 'for her again')
      await again.next('the next message', (event) => event.data === 'for her again')
      expect(again.text).not.toContain('not for her')
      expect(lost(again)).toEqual(['room'])
    },
  )

  test('brings nothing of the time after a recheck has taken the topic away', async () => {
    const { driver, url, streamer } = await inMemory()
    const page = await open(`${url}/?topic=room&topic=news`)
    driver.publish('news', 'one')
    await page.next('one', (event) => event.data === 'one')
    const { lastEventId: position } = page
    driver.publish('news', 'two')
    may = (topic) => topic !== 'room'
    await streamer.recheck()
    page.drop()
    driver.publish('room', 'not for her')
    may = () => true
    const again = await open(`${url}/?topic=room&topic=news`, position)
    await again.next('two', (event) => event.data === 'two')
    driver.publish('room', 'for her')
    await again.next('the next message', (event) => event.data === 'for her')
    expect(again.text).not.toContain('not for her')
    expect(lost(again)).toEqual(['room'])
  })

  test('does not say by itself how far a replay is', async () => {
    const { driver, url, streamer } = await inMemory()
    const other = await streamer.newClient()
    await streamer.subscribe(other.id, 'a')
    driver.publish('a', 'before she was there')
    const { id } = await streamer.newClient({ owner: 'ann' })
    await streamer.subscribe(id, 'a')
    const page = await open(`${url}/?id=${id}`)
    const forged = `${unsealed(page.lastEventId)!}@1.0.a`
    page.drop()
    const again = await open(`${url}/?id=${id}`, forged)
    driver.publish('a', 'after')
    await again.next('the next message', (event) => event.data === 'after')
    expect([data(again), lost(again)]).toEqual([['after'], ['a']])
  })

  test('is not what the code of the application gives, which counts as it is', async () => {
    const { driver, url, streamer } = await inMemory()
    const page = await open(`${url}/?topic=a`)
    for (const text of ['one', 'two']) driver.publish('a', text)
    await page.next('two', (event) => event.data === 'two')
    const { id } = await streamer.newClient({ owner: 'ann' })
    const after = unsealed(page.events.find((event) => event.data === 'one')!.id)
    await streamer.subscribe(id, 'a', { after })
    const stream = await open(`${url}/?id=${id}`)
    await stream.next('two', (event) => event.data === 'two')
    expect([data(stream), lost(stream)]).toEqual([['two'], []])
  })

  test('counts on servers with the same secret, where the log has none', async () => {
    const log = new StubLog()
    const server = async (secret: string | undefined) => {
      const driver = Object.assign(log.server(), { secret: undefined })
      return (await start(driver, secret === undefined ? {} : { secret })).url
    }
    const secret = 'a secret of thirty-two characters'
    const [one, two, three] = [await server(secret), await server(secret), await server(undefined)]
    const page = await open(`${one}/?topic=a`)
    const { lastEventId } = page
    log.publish(['a'], 'one')
    await page.next('one', (event) => event.data === 'one')
    const same = await open(`${two}/?topic=a`, lastEventId)
    await same.next('one', (event) => event.data === 'one')
    expect(lost(same)).toEqual([])
    const foreign = await open(`${three}/?topic=a`, lastEventId)
    log.publish(['a'], 'two')
    await foreign.next('two', (event) => event.data === 'two')
    expect([data(foreign), lost(foreign)]).toEqual([['two'], ['a']])
  })
})
