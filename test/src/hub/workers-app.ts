// The app of workers.real.test.ts: Express on two workers, with a memory driver in the hub.
import express from 'express'
import { startWorkers } from '../../../src/hub/index.js'
import { memoryDriver } from '../../../src/index.js'
import { autoClient, unifrostExpress } from '../../../middleware/express.js'

const workers = await startWorkers({
  workers: 2,
  port: Number(process.env.PORT ?? 0),
  host: '127.0.0.1',
  address: process.env.HUB!,
  drain: 500,
  driver: () => memoryDriver(),
  streamer: { retry: { min: 50, max: 100 } },
  app: (streamer) => {
    const app = express()
    app.get('/pid', (_request, response) => void response.json(process.pid))
    app.use(
      '/events',
      autoClient(streamer, { topics: () => ['a', 'b'] }),
      unifrostExpress(streamer),
    )
    return app
  },
})
if (workers.role === 'primary') {
  process.stdout.write(`http://localhost:${workers.port}\n`)
  const { hub, workers: pids } = await workers.pids()
  process.stdout.write(`pids ${JSON.stringify([hub, ...pids])}\n`)
}
