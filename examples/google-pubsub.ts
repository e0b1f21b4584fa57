// One topic on Google Pub/Sub feeds a topic for each user, with one subscription for all of them.
//
//   gcloud beta emulators pubsub start --host-port=localhost:8085 &
//   PUBSUB_EMULATOR_HOST=localhost:8085 npx tsx examples/google-pubsub.ts
//   curl -N 'localhost:3000/events?topic=alice&topic=bob'
import { PubSub } from '@google-cloud/pubsub'
import express from 'express'
import { Streamer } from 'unifrost'
import { googlePubSubDriver } from 'unifrost/drivers/google-pubsub'
import { autoClient, unifrostExpress } from 'unifrost/express'

const users = ['alice', 'bob', 'carol']
const pubsub = new PubSub({ projectId: process.env.GOOGLE_CLOUD_PROJECT ?? 'example' })
const orders = pubsub.topic('orders', { messageOrdering: true })
await orders.get({ autoCreate: true })

const driver = googlePubSubDriver(pubsub, {
  sources: ['orders'],
  route: ({ attributes }) => attributes.user,
})
const streamer = new Streamer(driver)
const app = express()
app.use(
  '/events',
  autoClient(streamer, { authorize: (_principal, topic) => users.includes(topic) }),
  unifrostExpress(streamer),
)

const server = app.listen(Number(process.env.PORT ?? 3000), 'localhost', () => {
  const { port } = server.address() as { port: number }
  console.log(`Listening on http://localhost:${port}`)
})
let count = 0
const timer = setInterval(() => {
  count++
  for (const user of users) {
    const data = Buffer.from(`order ${count} of ${user}`)
    void orders.publishMessage({ data, attributes: { user }, orderingKey: user })
  }
}, 500)

process.once('SIGTERM', async () => {
  clearInterval(timer)
  await streamer.shutdown(server)
  await pubsub.close()
})
