// Express: log in, get a client id, stream its topics.
//
//   npx tsx examples/express.ts
//   curl -X POST localhost:3000/login            → {"client_id":"…"}
//   curl -N 'localhost:3000/events?id=…'
import express from 'express'
import { memoryDriver, Streamer } from 'unifrost'
import { unifrostExpress } from 'unifrost/express'

const driver = memoryDriver()
const streamer = new Streamer(driver, { clientTTL: 30_000 })
const app = express()

app.post('/login', async (_request, response) => {
  // The application knows the user here, so it makes the client and picks its topics.
  const client = await streamer.newClient()
  await streamer.subscribe(client.id, 'clock')
  response.status(201).json({ client_id: client.id })
})
app.use('/events', unifrostExpress(streamer))

const server = app.listen(Number(process.env.PORT ?? 3000), 'localhost', () => {
  const { port } = server.address() as { port: number }
  console.log(`Listening on http://localhost:${port}`)
})
const clock = setInterval(() => driver.publish('clock', new Date().toISOString()), 1_000)

process.once('SIGTERM', async () => {
  clearInterval(clock)
  await streamer.shutdown(server)
})
