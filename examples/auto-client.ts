// No login: each EventSource names its topics, and the server makes a client for it.
//
//   npx tsx examples/auto-client.ts
//   curl -N 'localhost:3000/events?topic=clock&topic=dice'
//
// When the connection breaks, the browser requests the same address with its Last-Event-ID, and
// resumes exactly where it was.
import express from 'express'
import { memoryDriver, Streamer } from 'unifrost'
import { autoClient, unifrostExpress } from 'unifrost/express'

const driver = memoryDriver()
const streamer = new Streamer(driver)
const publicTopics = new Set(['clock', 'dice'])
const app = express()

app.use(
  '/events',
  autoClient(streamer, { authorize: (_principal, topic) => publicTopics.has(topic) }),
  unifrostExpress(streamer),
)
app.get('/', (_request, response) => {
  response.send(`<!doctype html>
<meta charset="utf-8">
<title>Auto client</title>
<p>Clock: <output id="clock"></output></p>
<p>Dice: <output id="dice"></output></p>
<script>
  const events = new EventSource('/events?topic=clock&topic=dice')
  for (const topic of ['clock', 'dice']) {
    events.addEventListener(topic, (event) => {
      document.getElementById(topic).textContent = event.data
    })
  }
</script>`)
})

const server = app.listen(Number(process.env.PORT ?? 3000), 'localhost', () => {
  const { port } = server.address() as { port: number }
  console.log(`Listening on http://localhost:${port}`)
})
const timer = setInterval(() => {
  driver.publish('clock', new Date().toISOString())
  driver.publish('dice', String(1 + Math.floor(Math.random() * 6)))
}, 1_000)

process.once('SIGTERM', async () => {
  clearInterval(timer)
  await streamer.shutdown(server)
})
