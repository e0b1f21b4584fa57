/** @needs Chromium and openssl */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import type { RequestListener, Server } from 'node:http'
import { createServer } from 'node:http'
import { createSecureServer } from 'node:http2'
import type { Http2SecureServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { chromium } from 'playwright-core'
import { memoryDriver, Streamer } from 'unifrost'
import { autoClient, unifrostExpress } from 'unifrost/express'
import { requireCommand } from './brokers/apt.js'
import { until } from './support/until.js'

jest.setTimeout(90_000)

const RESTARTS = 3
const SOURCES = 20
/** Over HTTP/1.1 a browser opens six connections to one host. */
const SOURCES_PER_HOST = 5

let browser: Browser
let tls: { key: Buffer; cert: Buffer }

/** One process of the application: it listens as soon as the port is free. */
class Process {
  readonly driver = memoryDriver()
  readonly streamer = new Streamer(this.driver)
  private readonly server: Server | Http2SecureServer

  constructor(scheme: 'http' | 'https') {
    const auto = autoClient(this.streamer, { topics: ['news'] })
    const stream = unifrostExpress(this.streamer)
    const listener = (...[request, response]: Parameters<RequestListener>) => {
      if (request.url === '/') {
        response.setHeader('Content-Type', 'text/html')
        response.end('<title>a page</title>')
        return
      }
      response.setHeader('Access-Control-Allow-Origin', '*')
      auto(request, response, () => stream(request, response))
    }
    this.server =
      scheme === 'http'
        ? createServer(listener)
        : createSecureServer({ ...tls, allowHTTP1: true }, listener as never)
  }

  /** @returns the port */
  async listen(port: number): Promise<number> {
    const { server } = this
    await until('the port to be free', () => {
      return new Promise<boolean>((resolve) => {
        server.once('error', () => resolve(false))
        server.listen(port, '0.0.0.0', () => resolve(true))
      })
    })
    server.removeAllListeners('error')
    return (server.address() as AddressInfo).port
  }

  stop(): Promise<void> {
    return this.streamer.shutdown(this.server, { over: 500 })
  }
}

/** What the page's EventSources got, by topic message, and whether each can still come back. */
const OPEN = `([base, sources, each]) => {
  window.sources = Array.from({ length: sources }, (_, i) => {
    const host = base.replace('127.0.0.1', '127.0.0.' + (1 + Math.floor(i / each)))
    const source = new EventSource(host + '/events')
    source.last = ''
    source.addEventListener('news', (event) => (source.last = event.data))
    return source
  })
}`
const STATES = `() => window.sources.map(({ readyState, last }) => ({ readyState, last }))`

async function statesOf(page: Page): Promise<{ readyState: number; last: string }[]> {
  return page.evaluate(`(${STATES})()`)
}

describe('in Chromium', () => {
  beforeAll(async () => {
    const folder = mkdtempSync(join(tmpdir(), 'unifrost-tls-'))
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
    const made = ['-nodes', '-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=localhost']
    const openssl = await requireCommand('openssl', 'openssl', 'put it into PATH')
    execFileSync(openssl, ['req', '-x509', '-newkey', 'rsa:2048', ...made], { stdio: 'ignore' })
    tls = { key: readFileSync(key), cert: readFileSync(cert) }
    rmSync(folder, { recursive: true })
    const executablePath = process.env.UNIFROST_TEST_CHROMIUM ?? '/usr/bin/chromium'
    const args = ['--no-sandbox', '--ignore-certificate-errors']
    browser = await chromium.launch({ executablePath, args })
  })
  afterAll(() => browser.close())

  test.each(['http', 'https'] as const)(
    'every EventSource outlives restarts over %s',
    async (scheme) => {
      let now = new Process(scheme)
      const port = await now.listen(0)
      const base = `${scheme}://127.0.0.1:${port}`
      const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage()
      try {
        await page.goto(base)
        const hosts = scheme === 'https' ? SOURCES : SOURCES_PER_HOST
        await page.evaluate(`(${OPEN})(${JSON.stringify([base, SOURCES, hosts])})`)
        for (let restart = 0; restart <= RESTARTS; restart++) {
          const message = `of process ${restart}`
          await until('the message on every page', async () => {
            now.driver.publish('news', message)
            const states = await statesOf(page)
            expect(states.filter(({ readyState }) => readyState === 2)).toEqual([])
            return states.every(({ last }) => last === message)
          })
          if (restart === RESTARTS) break
          const old = now
          const stopped = old.stop()
          now = new Process(scheme)
          await Promise.all([stopped, now.listen(port)])
        }
      } finally {
        await page.close()
        await now.stop()
      }
    },
  )
})
