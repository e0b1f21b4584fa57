/** One of the servers of a cluster: a process of its own, told by its parent what to do. */
import express from 'express'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Streamer } from '../../src/index.js'
import { autoClient, clients, subscriptions, unifrostExpress } from '../../middleware/express.js'
import { makeDirectory, makeDriver } from './parts.js'
import type { Answer, Ask, ClusterConfig } from './cluster-server-messages.js'

const config = JSON.parse(process.argv[2] ?? '{}') as ClusterConfig
const streamer = new Streamer(makeDriver(config.driver), {
  ...config.options,
  ...makeDirectory(config),
})

/** How many streams each client has open here. */
const open = new Map<string, number>()
streamer.on('connect', ({ id }) => void open.set(id, (open.get(id) ?? 0) + 1))
streamer.on('disconnect', ({ id }) => {
  const left = (open.get(id) ?? 1) - 1
  if (left > 0) open.set(id, left)
  else open.delete(id)
})

const app = express()
// Express logs what nobody handles, except here: stderr is for what we ourselves would say.
app.set('env', 'test')
app.get('/readyz', (_request, response) => {
  const health = streamer.health()
  response.status(health.ok ? 200 : 503).json(health)
})
app.get('/auto', autoClient(streamer, { authorize: () => true }), unifrostExpress(streamer))
app.get('/events', unifrostExpress(streamer))
app.use('/clients', clients(streamer))
app.use('/subscriptions', subscriptions(streamer, { authorize: () => true }))

const server = createServer(app)
server.listen(config.port, config.host, 4_096)

// What waits to be collected is nobody's memory.
setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

async function obey(ask: Ask): Promise<Answer> {
  if (ask.do === 'memory') collect()
  const { user, system } = process.cpuUsage()
  return {
    stats: streamer.stats(),
    serving: [...open.keys()],
    ...(ask.do === 'presence' && {
      presence: {
        topic: (await streamer.clientsOf(ask.topic)).clients,
        clients: (await streamer.totals()).clients,
      },
    }),
    directory: streamer.health().directory ?? 'none',
    cpu: user + system,
    rss: ask.do === 'memory' ? process.memoryUsage().rss : 0,
  }
}

process.on('message', (ask: Ask & { id: number }) => {
  obey(ask).then(
    (answer) => process.send?.({ id: ask.id, ...answer }),
    // Right after a start, or with its directory away.
    () => undefined,
  )
})

process.once('SIGTERM', () => {
  // Whoever comes from now on is refused, and the balancer asks the next server.
  server.close()
  void (async () => {
    await streamer.drain({ over: config.drainOver })
    server.closeIdleConnections()
    // Nothing else may keep the process: it ends by itself, or the parent sees that it does not.
    process.disconnect()
  })()
})

await once(server, 'listening')
process.send?.({ port: (server.address() as AddressInfo).port })
