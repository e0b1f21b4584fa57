// A stream of NATS JetStream keeps the messages that a page misses while the server restarts.
//
//   nats-server -js & npx tsx examples/jetstream.ts
//   curl -N 'localhost:3000/events?topic=orders.1'
import { jetstream } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import express from 'express'
import { Streamer } from 'unifrost'
import { jetstreamDriver } from 'unifrost/drivers/jetstream'
import { autoClient, unifrostExpress } from 'unifrost/express'

const { hostname, port, username, password } = new URL(
  process.env.NATS_URL ?? 'nats://localhost:4222',
)
const connection = await connect({
  servers: `${hostname}:${port}`,
  ...(username ? { user: username, pass: password } : {}),
  pingInterval: 1_000,
  maxReconnectAttempts: -1,
})
const streamer = new Streamer(
  jetstreamDriver(connection, {
    stream: 'orders',
    create: { subjects: ['orders.>'], max_msgs: 10_000 },
  }),
)
const app = express()
app.use(
  '/events',
  autoClient(streamer, { authorize: (_principal, topic) => topic.startsWith('orders.') }),
  unifrostExpress(streamer),
)
const server = app.listen(Number(process.env.PORT ?? 3000), 'localhost', () => {
  const { port } = server.address() as { port: number }
  console.log(`Listening on http://localhost:${port}`)
})

const publisher = jetstream(connection)
let count = 0
const timer = setInterval(() => {
  count++
  for (const order of [1, 2, 3]) {
    publisher
      .publish(`orders.${order}`, JSON.stringify({ order, count }))
      .catch((error: unknown) => console.error(error))
  }
}, 1_000)

process.once('SIGTERM', async () => {
  clearInterval(timer)
  await streamer.shutdown(server)
  await connection.close()
})
