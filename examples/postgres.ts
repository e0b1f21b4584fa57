// What is published with NOTIFY of PostgreSQL, in the browser.
//
//   docker compose up -d postgres & npx tsx examples/postgres.ts
//   curl -N 'localhost:3000/events?topic=news&topic=weather'
//   psql postgres://postgres:secret@localhost -c "NOTIFY \"app:news\", 'hello'"
import express from 'express'
import { Pool } from 'pg'
import { Streamer } from 'unifrost'
import { postgresDriver } from 'unifrost/drivers/postgres'
import { autoClient, unifrostExpress } from 'unifrost/express'

const url = process.env.DATABASE_URL ?? 'postgres://postgres:secret@localhost:5432/postgres'
const pool = new Pool({ connectionString: url })
pool.on('error', (error) => console.error(String(error)))

// The driver has one connection of its own, on which it listens.
const driver = postgresDriver(url, { address: (topic) => `app:${topic}` })
await driver.connect()
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
  // The notifications go out together, when the transaction of this query commits.
  await pool.query(
    "SELECT pg_notify('app:' || topic, topic || ' ' || $2) FROM unnest($1::text[]) topic",
    [topics, String(count)],
  )
}
let publishing: Promise<void> = Promise.resolve()
const timer = setInterval(() => (publishing = publish()), 1_000)

process.once('SIGTERM', async () => {
  clearInterval(timer)
  await streamer.shutdown(server)
  await publishing
  await pool.end()
})
