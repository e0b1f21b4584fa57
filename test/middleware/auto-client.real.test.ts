/** @needs Chromium */
import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import express from 'express'
import type { Browser, Page } from 'playwright-core'
import { chromium } from 'playwright-core'
import type { MemoryDriver } from 'unifrost'
import { limitConnectionRate, memoryDriver, Streamer } from 'unifrost'
import { autoClient, unifrostExpress } from 'unifrost/express'
import type { TcpProxy } from '../support/tcp-proxy.js'
import { tcpProxy } from '../support/tcp-proxy.js'
import { until } from '../support/until.js'

jest.setTimeout(60_000)

interface Seen {
  event: string
  data: string
  id: string
}

let browser: Browser
let driver: MemoryDriver
let streamer: Streamer
let server: Server
let proxy: TcpProxy
let page: Page
let asked: string[]

describe('autoClient and an unmodified EventSource in Chromium', () => {
  beforeAll(async () => {
    const executablePath = process.env.UNIFROST_TEST_CHROMIUM ?? '/usr/bin/chromium'
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
  })

  afterAll(() => browser.close())

  beforeEach(async () => {
    driver = memoryDriver()
    streamer = new Streamer(driver, { retry: { min: 100, max: 200 } })
    asked = []
    const app = express()
    app.get('/', (_request, response) => {
      response.type('html').send('<!doctype html><title>An unmodified EventSource</title>')
    })
    app.use((request, _response, next) => {
      asked.push(request.url)
      next()
    })
    const authorize = () => true
    app.use('/events', autoClient(streamer, { authorize }), unifrostExpress(streamer))
    app.use(
      '/redirected',
      autoClient(streamer, { authorize, redirect: true }),
      unifrostExpress(streamer),
    )
    server = await new Promise<Server>((resolve) => {
      const listening = app.listen(0, '127.0.0.1', () => resolve(listening))
    })
    proxy = await tcpProxy((server.address() as AddressInfo).port)
    page = await (await browser.newContext()).newPage()
    await page.goto(`http://127.0.0.1:${proxy.port}/`)
  })

  afterEach(async () => {
    await page.context().close()
    await streamer.close()
    await proxy.close()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })

  /** Opens an EventSource in the page, with nothing around it. */
  async function open(address: string): Promise<void> {
    await page.evaluate(`
    window.seen = []
    window.source = new EventSource(${JSON.stringify(address)})
    for (const event of ['message', 'a', 'b']) {
      source.addEventListener(event, ({ data, lastEventId }) => {
        seen.push({ event, data, id: lastEventId })
      })
    }
  `)
  }

  const seen = () => page.evaluate<Seen[]>('window.seen')

  const got = (data: string) =>
    until(`${data} in the page`, async () => (await seen()).some((event) => event.data === data))

  const infos = async () => (await seen()).filter(({ event }) => event === 'message')

  test('an EventSource with topics in its address goes on exactly where it was', async () => {
    await open('/events?topic=a&topic=b')
    await until('the first message', async () => (await infos()).length === 1)
    const sent: string[] = []
    for (let round = 0; round < 5; round++) {
      for (const topic of ['a', 'b']) {
        const data = `${topic}${round}`
        driver.publish(topic, data)
        sent.push(data)
      }
      proxy.cut()
      await until('the client to be gone', () => streamer.stats().connections === 0)
      const missed = `a${round} while away`
      driver.publish('a', missed)
      sent.push(missed)
      await got(missed)
    }
    const received = (await seen()).filter(({ event }) => event !== 'message')
    expect(received.map(({ data }) => data)).toEqual(sent)
    expect(JSON.stringify(await infos())).not.toContain('messages-lost')
    expect(streamer.totalClients).toBe(1)
  })

  test('a drop before the first topic event resumes as well', async () => {
    await open('/events?topic=a')
    await until('the first message', async () => (await infos()).length === 1)
    proxy.cut()
    await until('the client to be gone', () => streamer.stats().connections === 0)
    driver.publish('a', 'while away')
    await got('while away')
  })

  test('after a redirect, Chromium comes back to the address with the id, and finds its state', async () => {
    await open('/redirected?topic=a')
    await until('the first message', async () => (await infos()).length === 1)
    const { config } = JSON.parse((await infos())[0]!.data) as { config: { client_id: string } }
    expect(streamer.getClient(config.client_id)?.connected).toBe(true)
    await streamer.subscribe(config.client_id, 'b')
    driver.publish('b', 'before')
    await got('before')
    asked = []
    proxy.cut()
    await until('the client to be away', () => streamer.stats().connections === 0)
    driver.publish('b', 'while away')
    await got('while away')
    expect(asked).toEqual([`/redirected?topic=a&id=${config.client_id}`])
    expect(streamer.totalClients).toBe(1)
    expect(JSON.stringify(await infos())).not.toContain('messages-lost')
  })
  test('a page that the server closes the door on comes back by itself, and has missed nothing', async () => {
    const { port } = server.address() as AddressInfo
    await page.goto(`http://127.0.0.1:${port}/`)
    await open('/events?topic=a')
    await until('the first message', async () => (await infos()).length === 1)
    limitConnectionRate(server, { perSecond: 1, burst: 1 })
    // A stranger is the one who gets in for the next second.
    const stranger = connect(port, '127.0.0.1')
    await once(server, 'connection')
    const refused = once(server, 'drop')
    server.closeAllConnections()
    await refused
    driver.publish('a', 'while away')
    await got('while away')
    expect(JSON.stringify(await infos())).not.toContain('messages-lost')
    stranger.destroy()
  })
})
