// One Kafka topic feeds a topic for each user, so there is no Kafka topic for each user.
//
//   KAFKA_BROKERS=localhost:9092 npx tsx examples/kafka.ts
//   curl -N 'localhost:3000/events?topic=user.7'
import express from 'express'
import { Kafka, Partitioners } from 'kafkajs'
import { Streamer } from 'unifrost'
import { kafkaDriver } from 'unifrost/drivers/kafka'
import { autoClient, unifrostExpress } from 'unifrost/express'

const brokers = (process.env.KAFKA_BROKERS ?? 'localhost:9092').split(',')
const kafka = new Kafka({ brokers })

const admin = kafka.admin()
await admin.connect()
await admin.createTopics({ topics: [{ topic: 'notices', numPartitions: 3 }], waitForLeaders: true })
await admin.disconnect()

const streamer = new Streamer(
  kafkaDriver(kafka, {
    sources: ['notices'],
    route: ({ key }) => `user.${key?.toString()}`,
  }),
)
const app = express()
app.use(
  '/events',
  autoClient(streamer, { authorize: (_principal, topic) => topic.startsWith('user.') }),
  unifrostExpress(streamer),
)
const server = app.listen(Number(process.env.PORT ?? 3000), 'localhost', () => {
  const { port } = server.address() as { port: number }
  console.log(`Listening on http://localhost:${port}`)
})

const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
await producer.connect()
let count = 0
const timer = setInterval(() => {
  count++
  const messages = Array.from({ length: 10 }, (_, user) => ({
    key: String(user),
    value: JSON.stringify({ user, count }),
  }))
  producer.send({ topic: 'notices', messages }).catch((error: unknown) => console.error(error))
}, 1_000)

process.once('SIGTERM', async () => {
  clearInterval(timer)
  await streamer.shutdown(server)
  await producer.disconnect()
})
