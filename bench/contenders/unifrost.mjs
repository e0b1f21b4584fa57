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

async function inExpress() {
  const { default: express } = await import('express')
  const { autoClient, unifrostExpress } = await import('unifrost/express')
  const app = express()
  const topics = (request) => topicsOf(indexOf(request.url))
  const id = (request) => `client-${indexOf(request.url)}`
  app.use('/events', autoClient(streamer, { topics, id }), unifrostExpress(streamer))
  return createServer(app)
}

async function inKoa() {
  const { default: Koa } = await import('koa')
  const { default: Router } = await import('@koa/router')
  const { autoClient, unifrostKoa } = await import('unifrost/koa')
  const app = new Koa()
  app.silent = true
  const router = new Router()
  const topics = (ctx) => topicsOf(indexOf(ctx.url))
  const id = (ctx) => `client-${indexOf(ctx.url)}`
  router.get('/events', autoClient(streamer, { topics, id }), unifrostKoa(streamer))
  app.use(router.routes())
  return createServer(app.callback())
}

async function inHttp2() {
  const http2 = await import('node:http2')
  return http2.createServer(handle)
}

const servers = { express: inExpress, koa: inKoa, http2: inHttp2 }
const server = (await servers[via]?.()) ?? createServer(handle)

contend(server, (topic, payload) => driver.publish(topic, payload))
