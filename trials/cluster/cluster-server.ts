/** One of the servers of a cluster: a process of its own, told by its parent what to do. */
import { Streamer } from '../../src/index.js'
import { answerParent, collectGarbage, configFromParent } from '../kit/child-program.js'
import { drainOnSigterm, routesOf, serve } from '../kit/serving.js'
import { makeDirectory, makeDriver } from './driver-and-directory.js'
import type { Answer, Ask, ClusterConfig } from './cluster-server-messages.js'

const config = configFromParent<ClusterConfig>()
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

const app = routesOf(streamer)
app.get('/readyz', (_request, response) => {
  const health = streamer.health()
  response.status(health.ok ? 200 : 503).json(health)
})

async function obey(ask: Ask): Promise<Answer> {
  if (ask.do === 'memory') collectGarbage()
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

// Right after a start, or with its directory away, it fails to answer.
answerParent(obey)
const server = await serve(app, config)
drainOnSigterm(streamer, server, config.drainOver, 'refuse')
