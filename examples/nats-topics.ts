// Topics on NATS, which the page switches on and off while it is connected.
//
//   nats-server & npx tsx examples/nats-topics.ts
//   curl -X POST localhost:3000/clients                       → {"client_id":"…"}
//   curl -N 'localhost:3000/events?id=…'
//   curl -H 'Content-Type: application/json' localhost:3000/update_subscriptions \
//        -d '{"client_id":"…","add":["topic1","topic2"],"remove":[]}'
import { connect } from '@nats-io/transport-node'
import express from 'express'
import { Streamer } from 'unifrost'
import { natsDriver } from 'unifrost/drivers/nats'
import { clients, subscriptions, unifrostExpress } from 'unifrost/express'

const servers = process.env.NATS_URL ?? 'nats://localhost:4222'
const topics = Array.from({ length: Number(process.env.TOPICS ?? 10) }, (_, i) => `topic${i + 1}`)

const connection = await connect({ servers })
const streamer = new Streamer(natsDriver(connection))
const app = express()

app.use('/clients', clients(streamer))
app.use('/events', unifrostExpress(streamer))
app.use(
  '/update_subscriptions',
  subscriptions(streamer, { authorize: (_principal, topic) => topics.includes(topic) }),
)

const server = app.listen(Number(process.env.PORT ?? 3000), 'localhost', () => {
  const { port } = server.address() as { port: number }
  console.log(`Listening on http://localhost:${port}`)
})
let count = 0
const timer = setInterval(() => {
  count++
  for (const topic of topics) connection.publish(topic, JSON.stringify({ topic, count }))
}, 1_000)

process.once('SIGTERM', async () => {
  clearInterval(timer)
  await streamer.shutdown(server)
  await connection.close()
})
