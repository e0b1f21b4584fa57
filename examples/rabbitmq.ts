// Publishes topics on RabbitMQ once a second. A page names those that it wants.
//
//   RABBITMQ_URL=amqp://localhost npx tsx examples/rabbitmq.ts
//   curl -N 'localhost:3000/events?topic=topic1&topic=topic3'
import { connect } from 'amqplib'
import express from 'express'
import { Streamer } from 'unifrost'
import { rabbitmqDriver } from 'unifrost/drivers/rabbitmq'
import { autoClient, unifrostExpress } from 'unifrost/express'

const url = process.env.RABBITMQ_URL ?? 'amqp://localhost'
const topics = Array.from({ length: Number(process.env.TOPICS ?? 10) }, (_, i) => `topic${i + 1}`)

const driver = rabbitmqDriver(url)
await driver.connect()
const streamer = new Streamer(driver)
const app = express()

app.use(
  '/events',
  autoClient(streamer, { authorize: (_principal, topic) => topics.includes(topic) }),
  unifrostExpress(streamer),
)
app.get('/', (_request, response) => {
  response.send(`<!doctype html>
<meta charset="utf-8">
<title>RabbitMQ</title>
<p>Last: <output></output></p>
<script>
  const events = new EventSource('/events?topic=topic1')
  events.addEventListener('topic1', (event) => {
    document.querySelector('output').textContent = event.data
  })
</script>`)
})

// Any other program can publish to the exchange as well.
const connection = await connect(url)
const channel = await connection.createChannel()
await channel.assertExchange('unifrost', 'direct')
let count = 0
const timer = setInterval(() => {
  count++
  for (const topic of topics) {
    channel.publish('unifrost', topic, Buffer.from(JSON.stringify({ topic, count })))
  }
}, 1_000)

const server = app.listen(Number(process.env.PORT ?? 3000), 'localhost', () => {
  const { port } = server.address() as { port: number }
  console.log(`Listening on http://localhost:${port}`)
})
process.once('SIGTERM', async () => {
  clearInterval(timer)
  await streamer.shutdown(server)
  await connection.close()
})
