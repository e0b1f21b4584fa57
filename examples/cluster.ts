// One machine, all of its cores: several processes on one port that look like one server. It needs
// nothing beside Node: one more process, the hub, is what they share.
//
//   npx tsx examples/cluster.ts
//   curl -N 'localhost:3000/events?topic=clock&topic=dice'
//
// SERVERS is the number of processes with browsers, by default 3. `kill -HUP` replaces them one after
// the other, and no client misses a message. With REDIS_URL=redis://localhost:6379, or NATS_URL for
// `nats-server --jetstream`, the processes share that engine instead, as several machines would.
import { memoryDriver } from 'unifrost'
import { startWorkers } from 'unifrost/hub'
import { makeApp } from './scale/app.js'

const { NATS_URL, REDIS_URL, PORT = '3000', HOST = '127.0.0.1', SERVERS = '3' } = process.env

if (NATS_URL || REDIS_URL) {
  await import('./scale/processes.js')
} else {
  const workers = await startWorkers({
    workers: Number(SERVERS),
    port: Number(PORT),
    host: HOST,
    driver: ticking,
    app: (streamer) => makeApp(streamer, `s${process.pid}`),
  })
  if (workers.role === 'primary') console.log(`Listening on http://localhost:${workers.port}`)
}

/** A broker on which something happens. It runs in the hub; your own driver goes here. */
function ticking() {
  const driver = memoryDriver()
  setInterval(() => {
    driver.publish('clock', new Date().toISOString())
    driver.publish('dice', String(1 + Math.floor(Math.random() * 6)))
  }, 1_000)
  return driver
}
