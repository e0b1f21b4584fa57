/** @needs HAProxy and nginx */
import { createServer } from 'node:http'
import type { RequestListener, Server } from 'node:http'
import { once } from 'node:events'
import { EventSource } from 'eventsource'
import express from 'express'
import Fastify from 'fastify'
import Koa from 'koa'
import type { MemoryDriver } from 'unifrost'
import { memoryDriver, Streamer } from 'unifrost'
import * as forExpress from 'unifrost/express'
import * as forKoa from 'unifrost/koa'
import { lastingPort } from './brokers/process.js'
import { startBalancer } from './support/balancer.js'
import { until } from './support/until.js'

jest.setTimeout(120_000)

const PAGES = 10
const OVER = 300

/** One server process, as far as pages can tell. */
interface Running {
  driver: MemoryDriver
  streamer: Streamer
  /** Accepts no more connections. */
  close(): void
  /** All of it, in one call. */
  shutdown(): Promise<unknown>
}

type Start = (port: number) => Promise<Running>

function parts(): Pick<Running, 'driver' | 'streamer'> {
  const driver = memoryDriver()
  return { driver, streamer: new Streamer(driver) }
}

async function onNode(
  port: number,
  { driver, streamer }: Pick<Running, 'driver' | 'streamer'>,
  listener: RequestListener,
): Promise<Running> {
  const server: Server = createServer((request, response) => {
    if (request.url !== '/readyz') listener(request, response)
    else response.writeHead(streamer.health().ok ? 200 : 503).end()
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    driver,
    streamer,
    close: () => void server.close(),
    shutdown: () => streamer.shutdown(server, { over: OVER }),
  }
}

const topics = { topics: ['news'] }

const servers: Record<string, Start> = {
  'node:http': (port) => {
    const its = parts()
    const auto = forExpress.autoClient(its.streamer, topics)
    const stream = forExpress.unifrostExpress(its.streamer)
    return onNode(port, its, (request, response) =>
      auto(request, response, () => stream(request, response)),
    )
  },
  express: (port) => {
    const its = parts()
    const app = express()
    app.use(forExpress.autoClient(its.streamer, topics), forExpress.unifrostExpress(its.streamer))
    return onNode(port, its, app)
  },
  koa: (port) => {
    const its = parts()
    const app = new Koa()
    app.use(forKoa.autoClient(its.streamer, topics)).use(forKoa.unifrostKoa(its.streamer))
    return onNode(port, its, app.callback())
  },
  fastify: async (port) => {
    const { driver, streamer } = parts()
    const auto = forExpress.autoClient(streamer, topics)
    const stream = forExpress.unifrostExpress(streamer)
    const app = Fastify()
    app.get('/readyz', async (_request, reply) => {
      await reply.code(streamer.health().ok ? 200 : 503).send()
    })
    app.get('/', (request, reply) => {
      reply.hijack()
      auto(request.raw, reply.raw, () => stream(request.raw, reply.raw))
    })
    app.addHook('preClose', () => streamer.shutdown(app.server, { over: OVER }))
    await app.listen({ port, host: '127.0.0.1' })
    return { driver, streamer, close: () => void app.server.close(), shutdown: () => app.close() }
  },
}

/** The calls that end a server, in each order that one may think of. */
const orders: Record<string, (server: Running) => Promise<unknown>> = {
  shutdown: (server) => server.shutdown(),
  'server.close, drain, shutdown': async (server) => {
    server.close()
    await server.streamer.drain({ over: OVER })
    await server.shutdown()
  },
  'drain, server.close, shutdown': async (server) => {
    await server.streamer.drain({ over: OVER })
    server.close()
    await server.shutdown()
  },
}

/** A browser's EventSource, which counts what it gets. */
class Page {
  readonly source: EventSource
  got = -1
  told = 0
  wrong: string[] = []

  constructor(url: string) {
    this.source = new EventSource(url)
    this.source.onerror = () => undefined
    this.source.onmessage = ({ data }) => {
      if ((data as string).includes('messages-lost')) this.told++
    }
    this.source.addEventListener('news', ({ data }) => {
      const number = Number(data)
      const isNext = number === this.got + 1 || this.got === -1
      if (number <= this.got) this.wrong.push(`${number} after ${this.got}`)
      else if (!isNext && this.told === 0) this.wrong.push(`${this.got}, then ${number}, untold`)
      this.told = 0
      this.got = number
    })
  }
}

let running: Running[]
let pages: Page[]
let count = 0
let publishing: NodeJS.Timeout

beforeEach(() => {
  running = []
  pages = []
  // As a broker does, to all servers.
  publishing = setInterval(() => {
    for (const { driver } of running) driver.publish('news', String(count))
    count++
  }, 10)
})
afterEach(async () => {
  for (const { source } of pages) source.close()
  clearInterval(publishing)
  await Promise.all(running.map((server) => server.shutdown()))
})

/** What has become of the pages once they have all got something newer. */
async function check(): Promise<void> {
  const now = count
  await until('messages for every page', () => {
    if (pages.some(({ source }) => source.readyState === source.CLOSED)) return true
    return pages.every(({ got }) => got > now)
  })
  const dead = pages.filter(({ source }) => source.readyState === source.CLOSED).length
  expect({ dead, wrong: pages.flatMap(({ wrong }) => wrong) }).toEqual({ dead: 0, wrong: [] })
}

/** Ends a server, which takes no longer than it may. */
async function end(server: Running, order: string): Promise<void> {
  const began = performance.now()
  await orders[order]!(server)
  expect(performance.now() - began).toBeLessThan(OVER + 5_000)
  expect(server.streamer.stats().connections).toBe(0)
}

const cells = Object.keys(servers).flatMap((server) =>
  Object.keys(orders).map((order) => ({ server, order })),
)

test.each(cells)('$server, $order: every page goes on at the next process', async (cell) => {
  const port = await lastingPort()
  const old = await servers[cell.server]!(port)
  running = [old]
  pages = Array.from({ length: PAGES }, () => new Page(`http://127.0.0.1:${port}/`))
  await check()
  const ending = end(old, cell.order)
  const next = await until('the port', () => servers['node:http']!(port).catch(() => undefined))
  running = [old, next!]
  await ending
  await check()
  running = [next!]
})

describe.each(['haproxy', 'nginx'] as const)('behind %s', (kind) => {
  let ports: [number, number, number]
  let balancer: Awaited<ReturnType<typeof startBalancer>>
  // A balancer without a server would answer for itself, and that ends an EventSource.
  let other: Running
  beforeAll(async () => {
    ports = [await lastingPort(), await lastingPort(), await lastingPort()]
    other = await servers['node:http']!(ports[1])
    balancer = await startBalancer(kind, ports)
  })
  afterAll(async () => {
    await other.shutdown()
    await balancer.stop()
  })

  test.each(cells)('$server, $order: every page goes on at another server', async (cell) => {
    const old = await servers[cell.server]!(ports[0])
    running = [old, other]
    await until('the balancer to know both', () => {
      if (pages.length < 200) pages.push(new Page(`http://127.0.0.1:${balancer.port}/`))
      const isThere = ({ streamer }: Running) => streamer.stats().connections >= 3
      return isThere(old) && isThere(other)
    })
    await check()
    await end(old, cell.order)
    running = [other]
    await check()
    const { length } = pages
    await until('all there', () => other.streamer.stats().connections === length)
    for (const { source } of pages) source.close()
    await until('the pages to be gone', () => other.streamer.stats().connections === 0)
    running = []
  })
})
