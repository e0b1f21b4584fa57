// One of several servers that look like one: examples/scale/run.ts starts three of them behind a
// load balancer, examples/cluster.ts starts them on one port.
import express from 'express'
import { Streamer } from 'unifrost'
import { autoClient, clients, subscriptions, unifrostExpress } from 'unifrost/express'
import { makeEngine, topics } from './engine.js'

const { driver, directory } = makeEngine()
const streamer = new Streamer(driver, {
  directory,
  ...(process.env.NAME !== undefined && { server: process.env.NAME }),
})
const authorize = (_principal: unknown, topic: string) => topics.includes(topic)
const app = express()

// The load balancer's health check: a server that has lost its directory gets no new streams.
app.get('/readyz', (_request, response) => {
  const health = streamer.health()
  response.status(health.ok ? 200 : 503).json(health)
})
app.use('/clients', clients(streamer))
app.use('/subscriptions', subscriptions(streamer, { authorize }))
app.use('/events', autoClient(streamer, { authorize }), unifrostExpress(streamer))
// The number of clients on all servers.
app.get('/presence', async (_request, response) => {
  response.json({ server: process.env.NAME, clock: (await streamer.clientsOf('clock')).clients })
})

// Connects now, so that the start fails if the engine does not answer.
await streamer.open()
const { PORT = '3000', HOST = '127.0.0.1' } = process.env
const server = app.listen(Number(PORT), HOST, () => {
  const { port } = server.address() as { port: number }
  console.log(`Listening on http://localhost:${port}`)
})

// Takes no new connections, and ends the streams one by one over five seconds. Their clients
// resume at other servers within half a second. A worker of `node:cluster` then lets go of its
// primary process.
process.once('SIGTERM', async () => {
  await streamer.shutdown(server, { over: 5_000 })
  process.disconnect?.()
})
