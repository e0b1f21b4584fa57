import {
  ClientExistsError,
  ClientIdError,
  NoClientError,
  StreamerClosedError,
  TooManyClientsError,
} from '../../src/errors.js'
import type { Logger } from '../../src/options.js'
import type { Page } from '../support/stage.js'
import { openPage, Stage, turns } from '../support/stage.js'

let stage: Stage
afterEach(() => stage.dispose())

describe('a client', () => {
  test('has an id, an owner, and the topics that it was subscribed to', async () => {
    stage = new Stage()
    const client = await stage.streamer.newCustomClient('user-42', { owner: 'alice' })
    await stage.streamer.subscribe('user-42', 'a')
    await stage.streamer.subscribe('user-42', 'b')
    expect(client).toMatchObject({ id: 'user-42', owner: 'alice', connected: false })
    expect([client.topics, client.totalTopics]).toEqual([['a', 'b'], 2])
    expect(stage.streamer.getClient('user-42')).toBe(client)
    expect(stage.streamer.totalClients).toBe(1)
    expect((await stage.connect('user-42')).refusal[0]).toBe(403)
    expect(client.connected).toBe(false)
    expect((await stage.streamer.newClient()).id).toMatch(/^[0-9a-f]{8}-[0-9a-f-]{27}$/)
  })

  test('is refused if another one has its id, or the id is empty', async () => {
    stage = new Stage()
    await stage.client('one')
    await expect(stage.streamer.newCustomClient('one')).rejects.toThrow(ClientExistsError)
    await expect(stage.streamer.newCustomClient('')).rejects.toThrow(ClientIdError)
    await stage.streamer.removeClient('one')
    await stage.client('one')
  })

  test('is refused if there are maxClients clients, which go on undisturbed', async () => {
    stage = new Stage({ maxClients: 1 })
    await stage.client('one', 'a')
    const page = await stage.connect('one')
    const refused = stage.streamer.newClient()
    await expect(refused).rejects.toThrow(TooManyClientsError)
    await expect(refused).rejects.toMatchObject({ status: 503, headers: { 'Retry-After': '5' } })
    stage.driver.publish('a', '1')
    await turns()
    expect(page.got).toEqual(['a=1'])
  })

  test('whose id is unknown is an error in every call', async () => {
    stage = new Stage()
    const { streamer } = stage
    await expect(streamer.subscribe('x', 'a')).rejects.toThrow(NoClientError)
    await expect(streamer.unsubscribe('x', 'a')).rejects.toThrow(NoClientError)
    await expect(streamer.removeClient('x')).rejects.toThrow(NoClientError)
    expect((await stage.connect('x')).refusal).toEqual([401, expect.stringContaining('NO_CLIENT')])
  })

  test('can be closed, also twice', async () => {
    stage = new Stage()
    const client = await stage.streamer.newClient()
    const page = await stage.connect(client.id)
    await client.close()
    await client.close()
    await turns()
    expect(page.got).toEqual(['Client closed'])
    expect(page.closed).toEqual({ reason: 'removed', reconnect: false })
    expect(page.response.closed).toBe(true)
    expect(stage.streamer.totalClients).toBe(0)
  })
})

describe('clientTTL', () => {
  test('counts from the creation of a client that never connects', async () => {
    stage = new Stage({ clientTTL: 1_000 })
    await stage.client('one')
    await stage.wait(999)
    expect(stage.streamer.totalClients).toBe(1)
    await stage.wait(1)
    expect(stage.streamer.totalClients).toBe(0)
    expect((await stage.connect('one')).refusal[0]).toBe(401)
  })

  test('does not count while it is connected, and counts anew from each disconnection', async () => {
    stage = new Stage({ clientTTL: 1_000 })
    await stage.client('one')
    for (let i = 0; i < 3; i++) {
      const page = await stage.connect('one')
      await stage.wait(5_000)
      page.response.destroy()
      await turns()
      await stage.wait(900)
      expect(stage.streamer.totalClients).toBe(1)
    }
    await stage.wait(100)
    expect(stage.streamer.totalClients).toBe(0)
  })

  test('does not begin with the end of a connection that was replaced', async () => {
    stage = new Stage({ clientTTL: 1_000 })
    await stage.client('one')
    const first = await stage.connect('one')
    const second = await stage.connect('one')
    await stage.wait(5_000)
    expect(first.got).toEqual(['replaced:'])
    expect(first.events.at(-1)!.retry).toBeGreaterThan(24 * 60 * 60 * 1000)
    expect(first.response.closed).toBe(true)
    expect(second.response.closed).toBe(false)
    expect(stage.streamer.stats()).toMatchObject({ connections: 1, disconnects: { replaced: 1 } })
  })

  test('removes the client, whose topics close after topicLinger', async () => {
    stage = new Stage({ clientTTL: 1_000, topicLinger: 500 })
    await stage.client('one', 'a')
    await stage.wait(1_499)
    expect(stage.driver.last('a').closes).toBe(0)
    await stage.wait(1)
    expect(stage.driver.last('a').closes).toBe(1)
  })
})

describe('a transient client', () => {
  test('goes with its connection, and its topics are held open for clientTTL', async () => {
    stage = new Stage({ clientTTL: 10_000, topicLinger: 0 })
    await stage.streamer.newCustomClient('one', { transient: true })
    await stage.streamer.subscribe('one', 'a')
    const page = await stage.connect('one')
    page.response.destroy()
    await turns()
    expect(stage.streamer.totalClients).toBe(0)
    stage.driver.publish('a', '1')
    await stage.wait(9_999)
    expect(stage.driver.last('a').closes).toBe(0)
    await stage.wait(1)
    expect(stage.driver.last('a').closes).toBe(1)
  })

  test('that is made anew with the position of the last one resumes there', async () => {
    stage = new Stage()
    const { streamer, driver } = stage
    await streamer.newCustomClient('one', { transient: true })
    await streamer.subscribe('one', 'a')
    const first = await stage.connect('one')
    driver.publish('a', '1')
    await turns()
    const after = first.lastEventId
    driver.publish('a', '2')
    await turns()
    first.response.destroy()
    await turns()
    driver.publish('a', '3')
    await streamer.newCustomClient('two', { transient: true })
    await streamer.subscribe('two', 'a', { after })
    const second = await stage.connect('two', after)
    driver.publish('a', '4')
    await turns()
    expect(second.got).toEqual(['a=2', 'a=3', 'a=4'])
    expect(second.events.every(({ hasId }) => hasId)).toBe(true)
  })
})

describe('events', () => {
  test('tell what happens, in order', async () => {
    stage = new Stage({ clientTTL: 1_000, topicLinger: 0 })
    const { streamer } = stage
    const told: string[] = []
    streamer.on('clientCreated', ({ id }) => told.push(`created ${id}`))
    streamer.on('clientRemoved', ({ id }, reason) => told.push(`removed ${id} ${reason}`))
    streamer.on('connect', ({ id }) => told.push(`connect ${id}`))
    streamer.on('disconnect', ({ id }, reason) => told.push(`disconnect ${id} ${reason}`))
    streamer.on('topicOpened', (topic) => told.push(`opened ${topic}`))
    streamer.on('topicClosed', (topic) => told.push(`closed ${topic}`))
    await stage.client('one', 'a')
    const page = await stage.connect('one')
    page.response.destroy()
    await turns()
    await stage.wait(1_000)
    expect(told).toEqual([
      'created one',
      'opened a',
      'connect one',
      'disconnect one dropped',
      'closed a',
      'removed one expired',
    ])
  })

  test('survive listeners that throw or reject', async () => {
    stage = new Stage({ clientTTL: 1_000 })
    const { streamer } = stage
    const errors: string[] = []
    for (const event of ['clientCreated', 'connect', 'disconnect', 'clientRemoved'] as const) {
      streamer.on(event, () => {
        throw new Error('thrown')
      })
      streamer.on(event, () => Promise.reject(new Error('rejected')))
    }
    streamer.on('error', ({ message, cause }) => {
      errors.push(`${message} ${(cause as Error).message}`)
      throw new Error('in the listener of error')
    })
    await stage.client('one', 'a')
    const page = await stage.connect('one')
    stage.driver.publish('a', '1')
    await turns()
    expect(page.got).toEqual(['a=1'])
    page.response.destroy()
    await turns()
    await stage.wait(1_000)
    expect(streamer.totalClients).toBe(0)
    expect(errors).toHaveLength(8)
    expect(errors).toContain("A listener of the Streamer's 'connect' event failed. thrown")
    expect(errors).toContain("A listener of the Streamer's 'connect' event failed. rejected")
  })

  test('of errors throw nothing, also without a listener or with a logger that throws', async () => {
    const fails = () => {
      throw new Error('the logger')
    }
    const logger: Logger = { debug: fails, info: fails, warn: fails, error: fails }
    stage = new Stage({ logger })
    await stage.client('one', 'a')
    const page = await stage.connect('one')
    stage.driver.last('a').sink.gap('because')
    stage.driver.publish('a', Buffer.from([0xff]))
    stage.driver.publish('a', 'fine')
    stage.driver.last('a').sink.fail(new Error('gone'))
    await turns()
    expect(page.got).toEqual([
      'messages-lost:a',
      'subscription-failure:a',
      'a=fine',
      'subscription-failure:a',
    ])
  })
})

test('stats count by outcome', async () => {
  stage = new Stage()
  await stage.client('one', 'a', 'b')
  const page = await stage.connect('one')
  stage.driver.publish('a', '1')
  stage.driver.publish('b', Buffer.from([0xff]))
  stage.driver.last('b').sink.gap('because')
  await turns()
  const { lastEventId } = page
  page.response.destroy()
  await turns()
  await stage.connect('one', lastEventId)
  await stage.connect('one', 'nonsense')
  await turns()
  expect(stage.streamer.stats()).toMatchObject({
    clients: 1,
    connections: 1,
    topics: 2,
    history: { frames: 3, evictions: 0 },
    received: 2,
    refused: 1,
    sent: 3,
    gaps: 1,
    resumes: { exact: 1, lost: 0, 'unknown-position': 1 },
    disconnects: { dropped: 1, replaced: 1 },
    messagesLost: 2,
  })
})

describe('close', () => {
  test('says goodbye to all clients, ends the streams, closes the topics, and refuses new clients', async () => {
    stage = new Stage()
    const { streamer, driver } = stage
    await stage.client('one', 'a')
    const page = await stage.connect('one')
    driver.publish('a', '1')
    const closing = streamer.close()
    expect(streamer.close()).toBe(closing)
    await closing
    expect(page.got).toEqual(['a=1', 'Client closed'])
    expect(page.response.closed).toBe(true)
    expect(driver.last('a').closes).toBe(1)
    expect(driver.closes).toBe(1)
    await expect(streamer.newClient()).rejects.toThrow(StreamerClosedError)
    await expect(streamer.subscribe('one', 'a')).rejects.toMatchObject({ status: 503 })
  })

  test('cuts off a connection that has not read for five seconds', async () => {
    stage = new Stage()
    await stage.client('one', 'a')
    const page = await stage.connect('one', undefined, 10)
    page.response.stopReading()
    stage.driver.publish('a', 'x'.repeat(100))
    await turns()
    const closed = jest.fn()
    const closing = stage.streamer.close().then(closed)
    await stage.wait(4_999)
    expect(closed).not.toHaveBeenCalled()
    await stage.wait(1)
    expect(closed).toHaveBeenCalled()
    await closing
  })

  test('is called by await using', async () => {
    stage = new Stage()
    await stage.client('one', 'a')
    await stage.streamer[Symbol.asyncDispose]()
    expect(stage.driver.closes).toBe(1)
  })

  test('does not wait for a topic that the broker never opens, and closes it if it does', async () => {
    stage = new Stage()
    stage.driver.direct = false
    await stage.client('one')
    const subscribing = stage.streamer.subscribe('one', 'a')
    await turns()
    await stage.streamer.close()
    stage.driver.last('a').open()
    await subscribing
    await turns()
    expect(stage.driver.last('a').closes).toBe(1)
  })
})

describe('drain', () => {
  test('spreads the goodbyes, and has each browser come back at once', async () => {
    stage = new Stage({ random: () => 0.5 })
    const { streamer, driver } = stage
    const pages: Page[] = []
    for (const id of ['one', 'two', 'three', 'four']) {
      await stage.client(id, 'a')
      pages.push(await stage.connect(id))
    }
    await stage.client('away')
    const drained = streamer.drain({ over: 4_000 })
    await stage.wait(1_500)
    const gone = () => pages.filter(({ response }) => response.closed)
    expect(gone()).toHaveLength(2)
    await expect(streamer.newClient()).rejects.toThrow(StreamerClosedError)
    driver.publish('a', 'still')
    await turns()
    expect(pages.filter(({ got }) => got.includes('a=still'))).toHaveLength(2)
    await stage.wait(2_500)
    await drained
    expect(gone()).toHaveLength(4)
    expect(pages.map(({ got }) => got.at(-1))).toEqual(new Array(4).fill('Client closed'))
    const reason = { reason: 'shutdown', reconnect: true }
    expect(pages.map(({ closed }) => closed)).toEqual(new Array(4).fill(reason))
    expect(retriesOf(pages)).toEqual([300, 300, 300, 300])
    expect(driver.closes).toBe(1)
  })

  test('has browsers wait no longer than a shorter retry', async () => {
    stage = new Stage({ random: () => 0.5, retry: { min: 0, max: 80 } })
    await stage.client('one')
    const page = await stage.connect('one')
    const drained = stage.streamer.drain({ over: 1_000 })
    await stage.wait(0)
    await stage.wait(1_000)
    await drained
    expect(retriesOf([page])).toEqual([80])
  })

  test('without a period, has browsers wait for their usual retry', async () => {
    stage = new Stage({ random: () => 0.5, retry: { min: 2_000, max: 5_000 } })
    await stage.client('one')
    const page = await stage.connect('one')
    await stage.streamer.drain()
    expect(retriesOf([page])).toEqual([3_500])
  })

  test('serves pages that come here once more until the end, and spreads them then', async () => {
    stage = new Stage({ random: () => 0.5, retry: { min: 2_000, max: 2_000 } })
    const { streamer, driver } = stage
    const pages = await Promise.all(Array.from({ length: 10 }, () => openPage(streamer, ['a'])))
    const drained = streamer.drain({ over: 10_000 })
    await stage.wait(9_500)
    expect(pages.every(({ response }) => response.closed)).toBe(true)
    const again = await Promise.all(Array.from({ length: 5 }, () => openPage(streamer, ['a'])))
    // The stream tells the browser of its usual wait again.
    expect(again.map(({ response }) => response.statusCode)).toEqual(new Array(5).fill(200))
    driver.publish('a', 'still')
    await turns()
    expect(again.map(({ got }) => got)).toEqual(new Array(5).fill(['a=still']))
    expect(again.map(({ events }) => events[0]!.retry)).toEqual(new Array(5).fill(2_000))
    expect(streamer.health().ok).toBe(false)
    await stage.wait(500)
    await drained
    // Half of ten pages in half of 10,000: 100 and half of 5,000 each.
    expect(retriesOf(again)).toEqual(new Array(5).fill(2_600))
  })

  test('is over once nobody has come back in the time that pages wait', async () => {
    stage = new Stage({ random: () => 0.5 })
    const page = await openPage(stage.streamer, ['a'])
    let over = false
    const drained = stage.streamer.drain({ over: 60_000 }).then(() => (over = true))
    await stage.wait(0)
    expect(page.response.closed).toBe(true)
    await stage.wait(499)
    expect(over).toBe(false)
    await stage.wait(1)
    await drained
  })

  test('is over as soon as close or a shorter drain ends all streams', async () => {
    for (const end of ['close', 'drain'] as const) {
      stage = new Stage()
      const page = await openPage(stage.streamer, ['a'])
      const drains = [1_000, 2_000].map((over) => stage.streamer.drain({ over }))
      await stage.streamer[end]()
      await Promise.all(drains)
      expect(page.response.closed).toBe(true)
    }
  })

  function retriesOf(pages: Page[]): number[] {
    return pages.map((page) => (void page.got, page.events.at(-1)!.retry!))
  }

  test.each([-1, NaN, Infinity])('over %j is refused', async (over) => {
    stage = new Stage()
    await expect(stage.streamer.drain({ over })).rejects.toThrow('a number from 0')
  })
})
