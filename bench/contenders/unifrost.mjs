// unifrost as it is built and published, with its defaults. VIA names what stands around it.
import { createServer } from 'node:http'
import { memoryDriver, Streamer } from 'unifrost'
import { contend, indexOf, topicsOf } from './contender.mjs'

const via = process.env.VIA ?? 'http'
const driver = via === 'nats' ? await nats(process.env.NATS_URL) : memoryDriver()
const streamer = new Streamer(driver)

async function nats(url) {
  const { natsDriver } = await import('unifrost/drivers/nats')
  return natsDriver(url)
}

/** The id of the request's client, which is made when it comes for the first time. */
async function clientOf(request) {
  const index = indexOf(request.url)
  const id = `client-${index}`
  if (streamer.getClient(id) === undefined) {
    await streamer.newCustomClient(id)
    const subscribe = (topic) => streamer.subscribe(id, topic)
    await Promise.all(topicsOf(index).map(subscribe))
  }
  return id
}

async function handle(request, response) {
  await streamer.handle(request, response, { id: await clientOf(request) })
}

const topics = (url) => topicsOf(indexOf(url))
const id = (url) => `client-${indexOf(url)}`

/** @param before What stands in front of the stream in an application. */
async function inExpress(version = 'express', before = []) {
  const { default: express } = await import(version)
  const { autoClient, unifrostExpress } = await import('unifrost/express')
  const app = express()
  for (const middleware of before) app.use(middleware)
  const auto = { topics: ({ url }) => topics(url), id: ({ url }) => id(url) }
  app.use('/events', autoClient(streamer, auto), unifrostExpress(streamer))
  return createServer(app)
}

async function inKoa(version = 'koa', before = []) {
  const { default: Koa } = await import(version)
  const { autoClient, unifrostKoa } = await import('unifrost/koa')
  const app = new Koa()
  app.silent = true
  for (const middleware of before) app.use(middleware)
  const auto = { topics: (ctx) => topics(ctx.url), id: (ctx) => id(ctx.url) }
  app.use(autoClient(streamer, auto)).use(unifrostKoa(streamer))
  return createServer(app.callback())
}

async function importAll(...names) {
  return Promise.all(names.map(async (name) => (await import(name)).default))
}

/** Express as most applications have it. */
async function inExpressCompany() {
  const [helmet, cors, compression, session] = await importAll(
    'helmet',
    'cors',
    'compression',
    'express-session',
  )
  const sessions = session({ secret: 'of the bench', resave: false, saveUninitialized: false })
  return inExpress('express', [helmet(), cors(), compression(), sessions])
}

async function inKoaCompany() {
  const [helmet, cors, compress] = await importAll('koa-helmet', '@koa/cors', 'koa-compress')
  return inKoa('koa', [helmet(), cors(), compress()])
}

async function inHttp2() {
  const http2 = await import('node:http2')
  return http2.createServer(handle)
}

const servers = {
  express: inExpress,
  express4: () => inExpress('express4'),
  koa: inKoa,
  koa2: () => inKoa('koa2'),
  'express-company': inExpressCompany,
  'koa-company': inKoaCompany,
  http2: inHttp2,
}
const server = (await servers[via]?.()) ?? createServer(handle)

contend(server, (topic, payload) => driver.publish(topic, payload))
