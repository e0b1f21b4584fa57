import { hubDriver, startHub } from '../../../src/hub/index.js'
import type { Hub, HubOptions } from '../../../src/hub/index.js'
import type { MemoryDriver } from '../../../src/drivers/memory.js'
import type { Driver, Sink } from '../../../src/driver.js'
import type { StreamerOptions } from '../../../src/options.js'
import { Streamer } from '../../../src/streamer.js'
import { FakeResponse, fakeRequest } from '../../support/fake-response.js'
import { Page } from '../../support/stage.js'
import { until } from '../../support/until.js'
import { localHub, socketFolder } from './in-process.js'

const quiet = () => undefined
const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet }

describe('a client that moves between the workers of one hub', () => {
  const folder = socketFolder()
  const toClose: { close(): Promise<void> }[] = []
  let hubs = 0
  let address: string
  let broker: MemoryDriver

  afterEach(async () => {
    for (const it of toClose.splice(0).reverse()) await it.close()
  })
  afterAll(() => folder.remove())

  async function start(options: Partial<HubOptions> = {}): Promise<Hub> {
    address = folder.path(`hub-${++hubs}`)
    const made = await localHub(address, options)
    toClose.push(made.hub)
    broker = made.broker
    return made.hub
  }

  function worker(settings: StreamerOptions = {}): Streamer {
    const streamer = new Streamer(hubDriver(address), {
      ...{ heartbeatInterval: 0, topicLinger: 0, logger },
      ...settings,
    })
    toClose.push(streamer)
    return streamer
  }

  async function open(streamer: Streamer, topics: string[], after?: string): Promise<Page> {
    const { id } = await streamer.newClient({ transient: true })
    for (const topic of topics) await streamer.subscribe(id, topic, { after })
    const response = new FakeResponse()
    void streamer.handle(fakeRequest(id, after), response.asResponse)
    const page = new Page(response)
    await until('a first message', () => page.got && page.events.length > 0)
    return page
  }

  const has = (page: Page, last: string) =>
    until(`${last} after ${page.got.slice(-3).join()}`, () => page.got.at(-1) === last)

  function publish(count: number, topic = 'a'): string[] {
    const numbers = Array.from({ length: count }, (_, index) => String(index))
    for (const text of numbers) broker.publish(topic, text)
    return numbers.map((text) => `${topic}=${text}`)
  }

  test('with every message gets each once, in order', async () => {
    await start({ topicLinger: 60_000 })
    const workers = [worker(), worker()]
    let page = await open(workers[0]!, ['a'])
    const got: string[] = []
    const sent: string[] = []
    for (let hop = 1; hop <= 20; hop++) {
      broker.publish('a', String(hop))
      if (hop % 2 === 0) await has(page, `a=${hop}`)
      const { lastEventId } = page
      page.response.destroy()
      broker.publish('a', `${hop} and a half`)
      sent.push(`a=${hop}`, `a=${hop} and a half`)
      got.push(...page.got)
      page = await open(workers[hop % 2]!, ['a'], lastEventId)
      await has(page, `a=${hop} and a half`)
    }
    expect([...got, ...page.got]).toEqual(sent)
  })

  test('gets what its worker no longer has from the hub', async () => {
    await start({ topicLinger: 60_000 })
    const workers = [
      worker({ history: { maxBytes: 2_000 } }),
      worker({ history: { maxBytes: 2_000 } }),
    ]
    const first = await open(workers[0]!, ['a', 'b'])
    const { lastEventId } = first
    await open(workers[1]!, ['b'])
    const sent = [...publish(2_000), ...publish(1, 'b')]
    await has(first, sent.at(-1)!)
    for (const streamer of workers) {
      const page = await open(streamer, ['a', 'b'], lastEventId)
      await has(page, sent.at(-1)!)
      expect(page.got).toEqual(sent)
    }
  })

  test('is told what the hub no longer has, of the topic that it was of, and of no other', async () => {
    await start({ topicLinger: 60_000, history: { maxBytes: 3_000 } })
    const workers = [worker({ history: { maxBytes: 500 } }), worker({ history: { maxBytes: 500 } })]
    const { lastEventId } = await open(workers[0]!, ['a', 'b'])
    publish(100)
    const [kept] = publish(1, 'b')
    const page = await open(workers[1]!, ['a', 'b'], lastEventId)
    await until('b', () => page.got.includes(kept!))
    expect(page.got).toContain('messages-lost:a')
    expect(page.got).not.toContain('messages-lost:b')
    // What was lost is the beginning, and nothing else.
    const rest = page.got.filter((it) => it.startsWith('a=')).map((it) => Number(it.slice(2)))
    expect(rest).toEqual(
      Array.from({ length: rest.length }, (_, index) => 100 - rest.length + index),
    )
  })

  test('is told that a topic was closed while nobody had it', async () => {
    await start()
    const workers = [worker(), worker()]
    const page = await open(workers[0]!, ['a'])
    await has(page, publish(1)[0]!)
    const { lastEventId } = page
    await workers[0]!.close()
    await until('the topic to be closed', () => !broker.publish('a', 'for nobody'))
    const back = await open(workers[1]!, ['a'], lastEventId)
    await until('the loss', () => back.got.includes('messages-lost:a'))
    await has(back, publish(1)[0]!)
  })

  test('is told of a gap of the broker in its place, also where it is read again', async () => {
    let sink: Sink | undefined
    const driver: Driver = {
      subscribe: async (_topic, given) => {
        sink = given
        return { close: async () => undefined }
      },
      close: async () => undefined,
    }
    address = folder.path(`hub-${++hubs}`)
    toClose.push(await startHub({ address, driver }))
    const workers = [worker(), worker()]
    const first = await open(workers[0]!, ['a'])
    const { lastEventId } = first
    sink!.message({ event: 'note', data: 'n' })
    sink!.message('1')
    sink!.gap('the link was lost')
    sink!.message('2')
    const all = ['note=n', 'a=1', 'messages-lost:a', 'a=2']
    await has(first, 'a=2')
    expect(first.got).toEqual(all)
    for (const streamer of workers) {
      const page = await open(streamer, ['a'], lastEventId)
      await has(page, 'a=2')
      expect(page.got).toEqual(all)
    }
    sink!.fail(new Error('The queue is gone.'))
    await until('the failure', () => first.got.includes('subscription-failure:a'))
  })
})
