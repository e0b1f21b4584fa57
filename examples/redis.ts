// Shows messages of Redis channels in the browser.
//
//   redis-server & npx tsx examples/redis.ts
//   curl -N 'localhost:3000/events?topic=news&topic=weather'
//   redis-cli publish app:news hello
import express from 'express'
import { createClient } from 'redis'
import { Streamer } from 'unifrost'
import { redisDriver } from 'unifrost/drivers/redis'
import { autoClient, unifrostExpress } from 'unifrost/express'

const client = createClient({ url: process.env.REDIS_URL ?? 'redis://localhost:6379' })
client.on('error', (error) => console.error(String(error)))
await client.connect()

// The driver opens its own connection with the client's settings, so the client can still publish.
const driver = redisDriver(client, { address: (topic) => `app:${topic}` })
const streamer = new Streamer(driver)
const topics = ['news', 'weather']
const app = express()

app.use(
  '/events',
  autoClient(streamer, { authorize: (_principal, topic) => topics.includes(topic) }),
  unifrostExpress(streamer),
)

const server = app.listen(Number(process.env.PORT ?? 3000), 'localhost', () => {
  const { port } = server.address() as { port: number }
  console.log(`Listening on http://localhost:${port}`)
})
let count = 0
async function publish() {
  count++
  for (const topic of topics) await client.publish(`app:${topic}`, `${topic} ${count}`)
}
let publishing: Promise<void> = Promise.resolve()
const timer = setInterval(() => (publishing = publish()), 1_000)

process.once('SIGTERM', async () => {
  clearInterval(timer)
  await streamer.shutdown(server)
  await publishing
  await client.close()
})
