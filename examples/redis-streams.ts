// One Redis stream for all users: each browser gets its user's entries.
//
//   redis-server & npx tsx examples/redis-streams.ts
//   curl -N 'localhost:3000/events?topic=user-7'
//   redis-cli xadd orders '*' user 7 data '{"state":"paid"}'
import express from 'express'
import { createClient } from 'redis'
import { Streamer } from 'unifrost'
import { redisStreamsDriver } from 'unifrost/drivers/redis-streams'
import { autoClient, unifrostExpress } from 'unifrost/express'

const client = createClient({ url: process.env.REDIS_URL ?? 'redis://localhost:6379' })
client.on('error', (error) => console.error(String(error)))
await client.connect()

const driver = redisStreamsDriver(client, {
  sources: ['orders'],
  route: ({ fields }) => `user-${String(fields.user)}`,
})
const streamer = new Streamer(driver)
const app = express()

// This example allows every topic. A real server compares the topic with the user.
app.use('/events', autoClient(streamer, { authorize: () => true }), unifrostExpress(streamer))

const server = app.listen(Number(process.env.PORT ?? 3000), 'localhost', () => {
  const { port } = server.address() as { port: number }
  console.log(`Listening on http://localhost:${port}`)
})
let count = 0
async function publish() {
  count++
  const fields = { user: String(count % 10), data: JSON.stringify({ order: count }) }
  // Keeps about the last 10,000 entries. A server that was away while more came gets a gap.
  const TRIM = { strategy: 'MAXLEN', strategyModifier: '~', threshold: 10_000 } as const
  await client.xAdd('orders', '*', fields, { TRIM })
}
let publishing: Promise<void> = Promise.resolve()
const timer = setInterval(() => (publishing = publish()), 100)

process.once('SIGTERM', async () => {
  clearInterval(timer)
  await streamer.shutdown(server)
  await publishing
  await client.close()
})
