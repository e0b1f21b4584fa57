// One of several servers that look like one: examples/scale/run.ts starts three of them behind a
// load balancer, examples/scale/processes.ts starts them on one port.
import { Streamer } from 'unifrost'
import { makeApp } from './app.js'
import { makeEngine } from './engine.js'

const { NAME, PORT = '3000', HOST = '127.0.0.1' } = process.env
const { driver, directory } = makeEngine()
const streamer = new Streamer(driver, {
  directory,
  ...(NAME !== undefined && { server: NAME }),
})
const app = makeApp(streamer, NAME)

// Connects now, so that the start fails if the engine does not answer.
await streamer.open()
const server = app.listen(Number(PORT), HOST, () => {
  const { port } = server.address() as { port: number }
  console.log(`Listening on http://localhost:${port}`)
})

// Takes no new connections, and ends the streams one by one over five seconds. Their clients
// resume at other servers within half a second. A worker of `node:cluster` then lets go of its
// primary process.
process.once('SIGTERM', async () => {
  await streamer.shutdown(server, { over: 5_000 })
  process.disconnect?.()
})
