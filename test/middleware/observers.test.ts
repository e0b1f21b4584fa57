import type { IncomingMessage, ServerResponse } from 'node:http'
import { ServerResponse as Response } from 'node:http'
import compression from 'compression'
import express from 'express'
import morgan from 'morgan'
import onFinished from 'on-finished'
import { memoryDriver, Streamer } from 'unifrost'
import { unifrostExpress } from 'unifrost/express'
import { openEvents } from '../support/event-stream.js'
import { until } from '../support/until.js'
import { listen } from './support/apps.js'

// Frames go past the response, straight to its socket. What watches responses must not notice.

const FORMAT = ':method :url :status :res[content-type] :req[user-agent] :remote-addr'

interface Seen {
  logged: string[]
  finished: { error: Error | null; response: ServerResponse }[]
  /** How often somebody has called the response's own `write`. */
  writes: number
}

/** An application with these in front of the stream, and what they see. */
async function watched(before: (seen: Seen) => express.RequestHandler[]) {
  const driver = memoryDriver()
  const streamer = new Streamer(driver)
  await streamer.newCustomClient('c')
  await streamer.subscribe('c', 'news')
  const seen: Seen = { logged: [], finished: [], writes: 0 }
  const app = express()
  for (const handler of before(seen)) app.use(handler)
  app.use('/events', unifrostExpress(streamer))
  const running = await listen(app as (request: IncomingMessage, response: ServerResponse) => void)
  const stream = await openEvents(`${running.url}/events?id=c`, { 'user-agent': 'a browser' })
  for (let i = 1; i <= 3; i++) {
    driver.publish('news', `${i}`)
    await stream.next(`${i}`, ({ data }) => data === `${i}`)
  }
  return { streamer, running, stream, seen }
}

const log = (seen: Seen) =>
  morgan(FORMAT, { stream: { write: (line) => void seen.logged.push(line.trim()) } })

const finish = (seen: Seen): express.RequestHandler => {
  return (_request, response, next) => {
    onFinished(response, (error, response) => seen.finished.push({ error, response }))
    next()
  }
}

const LINE =
  /^GET \/events\?id=c 200 text\/event-stream; charset=utf-8 a browser (::ffff:)?127\.0\.0\.1$/

test('morgan logs a stream that the server ends, and on-finished tells of it', async () => {
  const { streamer, running, stream, seen } = await watched((seen) => [log(seen), finish(seen)])
  expect(seen).toMatchObject({ logged: [], finished: [] })
  await streamer.close()
  await stream.end()
  await until('the log line', () => seen.logged.length > 0)
  expect(seen.logged).toEqual([expect.stringMatching(LINE)])
  expect(seen.finished).toMatchObject([{ error: null, response: { writableEnded: true } }])
  // The response is not wrapped, so the stream was written straight to the socket.
  expect(seen.finished[0]!.response.write).toBe(Response.prototype.write)
  await running.close()
})

test('they see a browser that leaves', async () => {
  const { streamer, running, stream, seen } = await watched((seen) => [log(seen), finish(seen)])
  stream.drop()
  await until('the log line', () => seen.logged.length > 0)
  expect(seen.logged).toEqual([expect.stringMatching(LINE)])
  expect(seen.finished).toHaveLength(1)
  expect(streamer.getClient('c')?.connected).toBe(false)
  await streamer.close()
  await running.close()
})

test('compression leaves the stream alone, and whoever wraps write sees every byte', async () => {
  const { streamer, running, stream, seen } = await watched((seen) => [
    log(seen),
    compression({ threshold: 0 }),
    (_request, response, next) => {
      const write = response.write.bind(response) as (chunk: Uint8Array) => boolean
      response.write = ((chunk: Uint8Array) => {
        seen.writes++
        return write(chunk)
      }) as typeof response.write
      next()
    },
  ])
  expect(stream.headers['content-encoding']).toBeUndefined()
  // The first message and three more.
  expect(seen.writes).toBe(4)
  await streamer.close()
  await stream.end()
  await until('the log line', () => seen.logged.length > 0)
  expect(seen.logged).toEqual([expect.stringMatching(LINE)])
  await running.close()
})
