import express from 'express'
import Koa from 'koa'
import { memoryDriver, Streamer } from 'unifrost'
import * as forExpress from 'unifrost/express'
import * as forFetch from 'unifrost/fetch'
import * as forKoa from 'unifrost/koa'
import { parseEvents } from '../support/event-stream.js'
import { until } from '../support/until.js'
import { listen } from './support/apps.js'

const topics = [
  { match: 'jobs', retain: 1, end: (text: string) => text === 'done' },
  { match: 'prices', conflate: { by: (text: string) => text[0]! } },
  { match: 'news', filter: (_: unknown, text: string) => text !== 'theirs' },
]
const anyone = { authorize: () => true }

/** What opens a page at an address. */
type Open = (query: string, headers?: Record<string, string>) => Promise<Response>
interface Site {
  open: Open
  close(): Promise<void>
}

async function served(app: unknown): Promise<Site> {
  const { url, close } = await listen(app as never)
  return { open: (query, headers = {}) => fetch(`${url}/?${query}`, { headers }), close }
}

const sites: [string, (streamer: Streamer) => Promise<Site>][] = [
  [
    'Express',
    (streamer) => {
      const app = express()
      app.use(forExpress.autoClient(streamer, anyone), forExpress.unifrostExpress(streamer))
      return served(app)
    },
  ],
  [
    'Koa',
    (streamer) => {
      const app = new Koa()
      app.use(forKoa.autoClient(streamer, anyone)).use(forKoa.unifrostKoa(streamer))
      return served(app.callback())
    },
  ],
  [
    'fetch',
    async (streamer) => {
      const handle = forFetch.autoClient(streamer, anyone)(forFetch.handler(streamer))
      const open: Open = async (query, headers = {}) =>
        handle(new Request(`http://app.example/?${query}`, { headers }))
      return { open, close: async () => undefined }
    },
  ],
]

describe.each(sites)('what topics keep, with %s', (_, build) => {
  const newDriver = () => memoryDriver()
  let driver: ReturnType<typeof newDriver>
  let streamer: Streamer
  let site: Site

  beforeEach(async () => {
    driver = newDriver()
    streamer = new Streamer(driver, { heartbeatInterval: 0, topics })
    site = await build(streamer)
  })
  afterEach(async () => {
    await streamer.close()
    await site.close()
  })

  /** Opens a page, and reads until its messages end with this text. */
  async function read(query: string, last: string, headers?: Record<string, string>) {
    const response = await site.open(query, headers)
    const reader = response.body!.getReader()
    const decoder = new TextDecoder()
    let text = ''
    while (!text.includes(last)) {
      const { value, done } = await reader.read()
      if (done) break
      text += decoder.decode(value, { stream: true })
    }
    await reader.cancel()
    await until('the page is gone', () => streamer.stats().connections === 0)
    const events = parseEvents(text)
    return {
      data: events.slice(1).map((event) => event.data),
      id: events.findLast(({ id }) => id !== undefined && id !== '')?.id ?? '',
    }
  }
  const publish = (topic: string, ...texts: string[]) => {
    for (const text of texts) driver.publish(topic, text)
  }

  test('a page gets the last value and the end, and a late one as well', async () => {
    const { id } = await streamer.newClient()
    await streamer.subscribe(id, 'jobs')
    publish('jobs', '1', '2')
    expect((await read('topic=jobs', '2')).data).toEqual(['2'])
    publish('jobs', 'done', 'late')
    const late = await read('topic=jobs', '"end"')
    expect(late.data).toEqual(['done', '{"end":{"topic":"jobs"}}'])
  })

  test('a page that comes back gets the newest of each key, and what the filter lets through', async () => {
    const query = 'topic=prices&topic=news'
    const first = await read(query, '\n\n')
    publish('prices', 'x1', 'y1', 'x2')
    publish('news', 'theirs', 'ours')
    const back = await read(query, 'ours', { 'last-event-id': first.id })
    expect(back.data).toEqual(['y1', 'x2', 'ours'])
  })
})
