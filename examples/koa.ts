// Koa with @koa/router: log in, get a client id, stream its topics.
//
//   npx tsx examples/koa.ts
//   curl -X POST localhost:3000/login            → {"client_id":"…"}
//   curl -N 'localhost:3000/events?id=…'
import Router from '@koa/router'
import Koa from 'koa'
import { memoryDriver, Streamer } from 'unifrost'
import { unifrostKoa } from 'unifrost/koa'

const driver = memoryDriver()
const streamer = new Streamer(driver, { clientTTL: 30_000 })
const router = new Router()

router.post('/login', async (ctx) => {
  const client = await streamer.newClient()
  await streamer.subscribe(client.id, 'clock')
  ctx.status = 201
  ctx.body = { client_id: client.id }
})
router.get('/events', unifrostKoa(streamer))

const app = new Koa()
app.use(router.routes()).use(router.allowedMethods())

const server = app.listen(Number(process.env.PORT ?? 3000), 'localhost', () => {
  const { port } = server.address() as { port: number }
  console.log(`Listening on http://localhost:${port}`)
})
const clock = setInterval(() => driver.publish('clock', new Date().toISOString()), 1_000)

process.once('SIGTERM', async () => {
  clearInterval(clock)
  await streamer.shutdown(server)
})
