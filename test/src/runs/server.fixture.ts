import { setInterval } from 'node:timers/promises'
import express from 'express'
import { memoryDriver, Streamer } from '../../../src/index.js'
import { runs } from '../../../src/runs/index.js'
import { redisRuns } from '../../../src/runs/redis.js'

/** A server that produces runs without end, for a test that kills or freezes it. */
const { REDIS = '', PREFIX = '', LEASE = '', PORT = '0' } = process.env
const streamer = new Streamer(memoryDriver())
const store = redisRuns(REDIS, { prefix: PREFIX, lease: Number(LEASE) })
const answers = runs(streamer, { store })
let reason = ''

const app = express()
app.post('/start/:name', async (req, res) => {
  const run = await answers.start(req.params.name, async ({ append, signal }) => {
    signal.addEventListener('abort', () => (reason = String(signal.reason)))
    let n = 0
    for await (const part of setInterval(10, 'part')) {
      if (signal.aborted) return
      append(`${part} ${++n}`)
    }
  })
  res.status(202).json(run)
})
app.get(
  '/stream/:name',
  answers.express((req) => req.params.name),
)
app.get('/reason', (_req, res) => void res.send(reason))

const server = app.listen(Number(PORT), 'localhost', () => {
  const { port } = server.address() as { port: number }
  process.stdout.write(`http://localhost:${port}\n`)
})
process.once(
  'SIGTERM',
  () => void streamer.shutdown(server, { timeout: 0 }).finally(() => process.exit(0)),
)
