import { EventEmitter, once } from 'node:events'
import { get } from 'node:http'
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'
import polka from '@polka/compression'
import compression from 'compression'
import express from 'express'
import express4 from 'express4'
import cacheControl from 'express-cache-controller'
import httpCompression from 'http-compression'
import Koa from 'koa'
import Koa2 from 'koa2'
import compress from 'koa-compress'
import onHeaders from 'on-headers'
import { autoClient, unifrostExpress } from 'unifrost/express'
import * as forKoa from 'unifrost/koa'
import { parseEvents } from '../support/event-stream.js'
import { until } from '../support/until.js'
import { stageForEach } from './support/stage.js'

/** Every event arrives at once, behind each compressor that is in use, at its defaults and at its worst. */

const stage = stageForEach()

type Use = express.RequestHandler

const onExpress = (factory: () => express.Express, ...before: Use[]) => {
  const app = factory()
  for (const middleware of before) app.use(middleware)
  return app.use(
    autoClient(stage.streamer, { topics: ['news'] }),
    unifrostExpress(stage.streamer),
  ) as unknown
}

/** Takes `no-transform` away when the headers are sent. */
const noStore: Use = (_request, response, next) => {
  onHeaders(response, () => response.setHeader('Cache-Control', 'no-store'))
  next()
}

const onKoa = (Factory: new () => Koa, ...before: Koa.Middleware[]) => {
  const app = new Factory()
  for (const middleware of before) app.use(middleware)
  const auto = forKoa.autoClient(stage.streamer, { topics: ['news'] })
  const events = forKoa.unifrostKoa(stage.streamer)
  app.use((ctx) => auto(ctx, async () => void (await events(ctx, () => Promise.resolve()))))
  return app.callback() as unknown
}

const koaNoStore: Koa.Middleware = async (ctx, next) => {
  await next()
  ctx.set('Cache-Control', 'no-store')
}

/** Keeps all that is written until the end, to change it: no stream could pass. */
const keepsAll: Use = (_request, response, next) => {
  const parts: unknown[] = []
  const { end } = response
  response.writeHead = () => response
  response.write = (part: unknown) => parts.push(part) > 0
  response.end = (() => end.call(response, parts.join(''), 'utf8')) as never
  next()
}

const decoders: Record<string, () => NodeJS.ReadWriteStream> = {
  br: createBrotliDecompress,
  deflate: createInflate,
  gzip: createGunzip,
}

async function open(url: string, accept: string) {
  const arrivals = new EventEmitter().setMaxListeners(0)
  const stream = {
    text: '',
    encoding: undefined as string | undefined,
    ended: false,
    /** Fails by the test's own time limit. */
    async arrived(text: string): Promise<void> {
      while (!stream.text.includes(text)) await once(arrivals, 'text')
    },
  }
  const asked = get(url, { agent: false, headers: { 'accept-encoding': accept } }, (response) => {
    stream.encoding = response.headers['content-encoding']
    const decoder = decoders[stream.encoding ?? '']?.()
    const plain = decoder === undefined ? response : response.pipe(decoder)
    plain.setEncoding('utf8').on('data', (text: string) => {
      stream.text += text
      arrivals.emit('text')
    })
    plain.on('end', () => (stream.ended = true)).on('error', () => undefined)
  })
  asked.on('error', () => undefined)
  await stream.arrived('data: ')
  return stream
}

const both = ['gzip', 'br, gzip']

describe.each<[string, isCompressed: boolean, () => unknown]>([
  ['compression', false, () => onExpress(express, compression())],
  ['compression, no threshold', false, () => onExpress(express, compression({ threshold: 0 }))],
  [
    'compression and express-cache-controller',
    true,
    () => onExpress(express, compression({ threshold: 0 }), cacheControl({ noStore: true }) as Use),
  ],
  [
    'compression and on-headers',
    true,
    () => onExpress(express, compression({ threshold: 0 }), noStore),
  ],
  [
    'compression and on-headers on Express 4',
    true,
    () => onExpress(express4, compression({ threshold: 0 }), noStore),
  ],
  ['@polka/compression', false, () => onExpress(express, polka() as Use)],
  [
    '@polka/compression at its worst',
    false,
    () => onExpress(express, polka({ threshold: 0, brotli: true }) as Use),
  ],
  [
    '@polka/compression, inside of on-headers',
    false,
    () => onExpress(express, noStore, polka({ threshold: 0 }) as Use),
  ],
  ['http-compression', false, () => onExpress(express, httpCompression() as Use)],
  [
    'http-compression at its worst',
    false,
    () => onExpress(express, httpCompression({ threshold: 0 }) as Use),
  ],
  ['middleware that keeps all until the end', false, () => onExpress(express, keepsAll)],
  ['koa-compress', false, () => onKoa(Koa, compress())],
  [
    'koa-compress at its worst',
    true,
    () => onKoa(Koa, compress({ threshold: 0, br: false }), koaNoStore),
  ],
  ['koa-compress with brotli', true, () => onKoa(Koa, compress({ threshold: 0 }), koaNoStore)],
  [
    'koa-compress on Koa 2',
    true,
    () => onKoa(Koa2, compress({ threshold: 0, br: false }), koaNoStore),
  ],
])('behind %s', (_name, isCompressed, build) => {
  test.each(both)('10 of 10 events arrive at once, in order, for %s', async (accept) => {
    const url = await stage.serve(build())
    const stream = await open(url, accept)
    for (let i = 1; i <= 10; i++) {
      stage.driver.publish('news', `message ${i}`)
      await stream.arrived(`message ${i}\n`)
    }
    expect(stream.encoding === undefined || stream.encoding === 'identity').toBe(!isCompressed)
    await stage.streamer.close()
    await until('the end', () => stream.ended)
    const events = parseEvents(stream.text).filter(({ event }) => event === 'news')
    expect(events.map(({ data }) => data)).toEqual(
      Array.from({ length: 10 }, (_, i) => `message ${i + 1}`),
    )
    expect(stream.text).toContain('Client closed')
    await until('the room to be free', () => stage.streamer.totalClients === 0)
  })

  test('a large backlog arrives whole', async () => {
    const url = await stage.serve(build())
    const stream = await open(url, 'gzip')
    const part = Array.from({ length: 2_000 }, (_, i) => `${Math.sin(i)}`).join()
    for (let i = 0; i < 60; i++) stage.driver.publish('news', `${i}:${part}`)
    await stream.arrived(`\ndata: 59:${part}\n`)
    expect(parseEvents(stream.text).filter(({ event }) => event === 'news')).toHaveLength(60)
  })
})
