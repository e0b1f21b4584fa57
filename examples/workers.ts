// One machine, all of its cores, and no Redis: one hub has the broker, the workers have the browsers.
//
//   npx tsx examples/workers.ts
//   curl -N 'localhost:3000/events?topic=clock&topic=dice'
//
// WORKERS is the number of workers, by default one for each core. `kill -HUP` replaces them one after the
// other, and no client misses a message. Replace `ticking()` by your broker's driver, such as
// `natsDriver('nats://localhost:4222')`.
import express from 'express'
import { memoryDriver } from 'unifrost'
import { autoClient, unifrostExpress } from 'unifrost/express'
import { startWorkers } from 'unifrost/hub'

const { PORT = '3000', HOST = '127.0.0.1', WORKERS } = process.env
const topics = ['clock', 'dice']

const workers = await startWorkers({
  workers: WORKERS === undefined ? 'auto' : Number(WORKERS),
  port: Number(PORT),
  host: HOST,
  driver: ticking,
  app(streamer) {
    const app = express()
    app.get('/readyz', (_request, response) => {
      const health = streamer.health()
      response.status(health.ok ? 200 : 503).json({ ...health, worker: process.pid })
    })
    const authorize = (_principal: unknown, topic: string) => topics.includes(topic)
    app.use('/events', autoClient(streamer, { authorize }), unifrostExpress(streamer))
    return app
  },
})
if (workers.role === 'primary') console.log(`Listening on http://localhost:${workers.port}`)

/** A broker with two topics on which something happens. It runs in the hub. */
function ticking() {
  const driver = memoryDriver()
  setInterval(() => {
    driver.publish('clock', new Date().toISOString())
    driver.publish('dice', String(1 + Math.floor(Math.random() * 6)))
  }, 1_000)
  return driver
}
