import type { IncomingMessage, ServerResponse } from 'node:http'
import polka from '@polka/compression'
import compression from 'compression'
import cors from 'cors'
import express from 'express'
import express4 from 'express4'
import session from 'express-session'
import helmet from 'helmet'
import httpCompression from 'http-compression'
import Koa from 'koa'
import Koa2 from 'koa2'
import morgan from 'morgan'
import { memoryDriver, Streamer } from 'unifrost'
import { unifrostExpress } from 'unifrost/express'
import { unifrostKoa } from 'unifrost/koa'
import { openEvents } from '../support/event-stream.js'
import { listen } from './support/apps.js'
import { countReads } from './support/counted-response.js'

// What happens for each frame and client, counted: this is where the time of a server goes.

type Listener = (request: IncomingMessage, response: ServerResponse) => void
type Mount = (streamer: Streamer) => Listener

function inExpress(make: () => express.Express, before: express.RequestHandler[] = []): Mount {
  return (streamer) => {
    const app = make()
    for (const middleware of before) app.use(middleware)
    app.use('/events', unifrostExpress(streamer))
    return app as Listener
  }
}

function inKoa(Factory: new () => Koa): Mount {
  return (streamer) => {
    const app = new Factory()
    app.silent = true
    app.use(unifrostKoa(streamer))
    return app.callback()
  }
}

const onNodeHttp: Mount = (streamer) => (request, response) => {
  void streamer.handle(request, response)
}

/** Wraps `end`, as express-session does to store the session first. */
const wrapsEnd: express.RequestHandler = (_request, response, next) => {
  const end = response.end.bind(response)
  response.end = ((...args: Parameters<typeof end>) => {
    setImmediate(() => end(...args))
    return response
  }) as typeof response.end
  next()
}

type Use = express.RequestHandler

/** What most applications in Express have around their routes. */
const company = () => [
  helmet() as Use,
  cors() as Use,
  morgan('tiny', { stream: { write: () => undefined } }) as Use,
  compression({ threshold: 0 }) as Use,
  session({ secret: 'a secret', resave: true, saveUninitialized: true }) as Use,
]

/** Notes what a response's `write` is given, as a middleware that keeps bodies for its log does. */
function recorder(recorded: string[]): express.RequestHandler {
  return (_request, response, next) => {
    const write = response.write.bind(response) as (chunk: Uint8Array) => boolean
    response.write = (chunk: Uint8Array) => {
      recorded.push(Buffer.from(chunk).toString())
      return write(chunk)
    }
    next()
  }
}

/** A stream that has its first message, and what publishes to it and waits until it has come. */
async function opened(mount: Mount) {
  const driver = memoryDriver()
  const streamer = new Streamer(driver)
  await streamer.newCustomClient('c')
  await streamer.subscribe('c', 'news')
  const handle = mount(streamer)
  let response: ServerResponse | undefined
  const running = await listen((request: IncomingMessage, its: ServerResponse) => {
    response = its
    handle(request, its)
  })
  const stream = await openEvents(`${running.url}/events?id=c`, { 'accept-encoding': 'gzip' })
  const publish = async (text: string) => {
    driver.publish('news', text)
    await stream.next(text, ({ data }) => data === text)
  }
  await publish('first')
  return {
    send: (text: string) => void driver.publish('news', text),
    publish,
    stream,
    response: response!,
    async end() {
      await streamer.close()
      await stream.end()
      await running.close()
    },
  }
}

describe('a frame to a client that keeps up', () => {
  test.each<[string, Mount]>([
    ['on node:http', onNodeHttp],
    ['in Express 4', inExpress(express4)],
    ['in Express 5', inExpress(express)],
    ['in Koa 2', inKoa(Koa2)],
    ['in Koa 3', inKoa(Koa)],
    ['in Express behind what wraps res.end', inExpress(express, [wrapsEnd])],
    ['in Express behind compression', inExpress(express, [compression({ threshold: 0 }) as Use])],
    ['in Express behind @polka/compression', inExpress(express, [polka() as Use])],
    ['in Express behind http-compression', inExpress(express, [httpCompression() as Use])],
    ['in Express 5 behind the usual company', inExpress(express, company())],
    ['in Express 4 behind the usual company', inExpress(express4, company())],
  ])('%s asks the response nothing', async (_name, mount) => {
    const { publish, response, end } = await opened(mount)
    const counted = countReads(response)
    for (const text of ['one', 'two', 'three']) await publish(text)
    expect(counted.names).toEqual([])
    await end()
  })

  test.each<[string, (record: Use) => Use[]]>([
    ['alone', (record) => [record]],
    ['before compression', (record) => [record, compression() as Use]],
    ['after compression', (record) => [compression() as Use, record]],
    ['between two', (record) => [polka() as Use, record, compression() as Use]],
  ])('comes to whoever wraps res.write, each one: %s', async (_name, around) => {
    const recorded: string[] = []
    const { publish, end } = await opened(inExpress(express, around(recorder(recorded))))
    await publish('second')
    await publish('third')
    const frames = recorded.flatMap((text) => [...text.matchAll(/^data: (\w+)$/gm)])
    expect(frames.map(([, data]) => data)).toEqual(['first', 'second', 'third'])
    await end()
  })

  test('is not written behind the end of a response that somebody else ends', async () => {
    const behind = inExpress(express, [compression() as Use])
    for (const mount of [onNodeHttp, inExpress(express), inExpress(express, [wrapsEnd]), behind]) {
      const { publish, send, response, stream, end } = await opened(mount)
      await publish('second')
      let failed: unknown
      response.on('error', (error) => (failed = error))
      response.end()
      for (let count = 0; count < 5; count++) send('late')
      await stream.end()
      // Chunks behind the last one would be garbage to the client.
      expect(stream.text.replaceAll('late', '')).not.toMatch(/^[0-9a-f]+\r$/m)
      expect(failed).toBeUndefined()
      await end()
    }
  })
})
