import { createServer as createHttp2, connect as connectHttp2 } from 'node:http2'
import type { ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import Koa from 'koa'
import type { MemoryDriver } from 'unifrost'
import { memoryDriver, Streamer } from 'unifrost'
import { unifrostExpress } from 'unifrost/express'
import { unifrostKoa } from 'unifrost/koa'
import { openEvents } from '../support/event-stream.js'
import { until } from '../support/until.js'
import { listen } from './support/apps.js'

/** A stream on a response whose headers the application has sent by itself. */

let driver: MemoryDriver
let streamer: Streamer
let errors: string[]
let running: Awaited<ReturnType<typeof listen>> | undefined

beforeEach(async () => {
  driver = memoryDriver()
  streamer = new Streamer(driver)
  await streamer.newCustomClient('c')
  await streamer.subscribe('c', 'news')
  errors = []
  streamer.on('error', ({ cause }) => void errors.push(String(cause)))
})
afterEach(async () => {
  await streamer.close()
  await running?.close()
  running = undefined
})

type Send = (response: ServerResponse) => void

const ways: [string, (send: Send) => unknown][] = [
  [
    'node:http',
    (send) => (request: never, response: never) => {
      send(response)
      void streamer.handle(request, response)
    },
  ],
  [
    'Express',
    (send) =>
      express()
        .set('env', 'test')
        .use((_request, response, next) => {
          send(response)
          next()
        })
        .use(unifrostExpress(streamer)),
  ],
  [
    'Koa',
    (send) => {
      const app = new Koa()
      app.silent = true
      app.on('error', (error) => errors.push(String(error)))
      app.use((ctx, next) => {
        send(ctx.res)
        return next()
      })
      return app.use(unifrostKoa(streamer)).callback()
    },
  ],
]

const type = 'text/event-stream; charset=utf-8'

describe.each(ways)('%s', (name, build) => {
  test.each<[string, Send]>([
    ['writeHead', (response) => response.writeHead(200, { 'Content-Type': type })],
    [
      'writeHead beside setHeader',
      (response) => response.setHeader('X-A', 'a').writeHead(200, 'Fine', { 'content-type': type }),
    ],
    [
      'flushHeaders',
      (response) => {
        // Koa begins with 404.
        response.statusCode = 200
        response.setHeader('Content-Type', 'text/event-stream')
        response.flushHeaders()
      },
    ],
    [
      'writeHead and a first comment',
      (response) => response.writeHead(200, { 'Content-Type': type }).write(': hello\n\n'),
    ],
  ])('streams after %s of the right type', async (_what, send) => {
    running = await listen(build(send) as never)
    const stream = await openEvents(`${running.url}/?id=c`)
    await stream.next('the first message', ({ event }) => event === 'message')
    driver.publish('news', 'one')
    await stream.next('one', ({ data }) => data === 'one')
    await streamer.close()
    await stream.end()
    expect(stream.events.at(-1)?.data).toBe('Client closed')
    expect(errors).toEqual([])
  })

  test.each<[string, Send]>([
    ['no type', (response) => response.flushHeaders()],
    ['another type', (response) => response.writeHead(200, { 'Content-Type': 'text/html' })],
    ['another status', (response) => response.writeHead(404, { 'Content-Type': type })],
    [
      'a length',
      (response) => {
        response.writeHead(200, { 'Content-Type': type, 'Content-Length': 9 }).flushHeaders()
      },
    ],
  ])('ends a response that was sent with %s, and says so', async (_what, send) => {
    running = await listen(build(send) as never)
    const stream = await openEvents(`${running.url}/?id=c`)
    await stream.end()
    expect(stream.events).toEqual([])
    expect(streamer.getClient('c')?.connected).toBe(false)
    // Express hands the error to the application, which has no page for it here.
    if (name !== 'Express') expect(errors.join()).toMatch(/OptionsError.*headers/)
  })
})

test('over HTTP/2, where a response keeps its headers elsewhere', async () => {
  const server = createHttp2((request, response) => {
    response.writeHead(200, { 'content-type': request.url === '/html' ? 'text/html' : type })
    void streamer.handle(request, response, { id: 'c' })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const session = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const wrong = session.request({ ':path': '/html' })
  await new Promise((resolve) => wrong.resume().once('close', resolve))
  expect(errors.join()).toMatch(/OptionsError.*text\/html/)
  const right = session.request({ ':path': '/' })
  let text = ''
  right.setEncoding('utf8').on('data', (part: string) => (text += part))
  await until('the first message', () => text.includes('client_id'))
  right.close()
  session.close()
  await new Promise((resolve) => server.close(resolve))
})
