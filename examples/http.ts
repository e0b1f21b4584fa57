// Without a framework, on node:http. `streamer.handle` also answers errors, in JSON.
//
//   npx tsx examples/http.ts
//   curl -X POST localhost:3000/login            → {"client_id":"…"}
//   curl -N 'localhost:3000/events?id=…'
import { createServer } from 'node:http'
import { memoryDriver, Streamer } from 'unifrost'

const driver = memoryDriver()
const streamer = new Streamer(driver, { clientTTL: 30_000 })

const server = createServer(async (request, response) => {
  const { pathname } = new URL(request.url ?? '/', 'http://localhost')
  if (pathname === '/events') {
    await streamer.handle(request, response)
  } else if (pathname === '/login' && request.method === 'POST') {
    const client = await streamer.newClient()
    await streamer.subscribe(client.id, 'clock')
    response.writeHead(201, { 'Content-Type': 'application/json' })
    response.end(JSON.stringify({ client_id: client.id }))
  } else {
    response.writeHead(404).end()
  }
})
server.listen(Number(process.env.PORT ?? 3000), 'localhost', () => {
  const { port } = server.address() as { port: number }
  console.log(`Listening on http://localhost:${port}`)
})
const clock = setInterval(() => driver.publish('clock', new Date().toISOString()), 1_000)

process.once('SIGTERM', async () => {
  clearInterval(clock)
  await streamer.shutdown(server)
})
