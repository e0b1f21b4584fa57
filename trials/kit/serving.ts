/** What the servers of the trials have in common: their routes, how they listen, and how they end. */
import express from 'express'
import type { Express } from 'express'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { RequestListener, Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { autoClient, clients, subscriptions, unifrostExpress } from '../../middleware/express.js'
import type { Streamer } from '../../src/index.js'
import { leaveParent, readyForParent } from './child-program.js'

/** The routes by which a checking client comes in. @param allows Whether a topic may be had. */
export function routesOf(
  streamer: Streamer,
  allows: (topic: string) => boolean = () => true,
): Express {
  const app = express()
  // Express logs what nobody handles, except here: stderr is for what we ourselves would say.
  app.set('env', 'test')
  app.get('/auto', autoClient(streamer, { authorize: () => true }), unifrostExpress(streamer))
  app.get('/events', unifrostExpress(streamer))
  app.use('/clients', clients(streamer))
  app.use(
    '/subscriptions',
    subscriptions(streamer, { authorize: (_principal, topic) => allows(topic) }),
  )
  return app
}

/** Listens, and tells the parent where. */
export async function serve(
  listener: RequestListener,
  { port = 0, host = '127.0.0.1' }: { port?: number | undefined; host?: string | undefined } = {},
  prepare: (server: Server) => void = () => undefined,
): Promise<Server> {
  const server = createServer(listener)
  prepare(server)
  // As many may come at once.
  server.listen({ port, host, backlog: 4_096 })
  await once(server, 'listening')
  readyForParent((server.address() as AddressInfo).port)
  return server
}

/**
 * At SIGTERM, says goodbye to everybody over so many milliseconds and ends.
 *
 * @param meanwhile Whether new connections are taken until then. Where they are refused, a load
 * balancer asks the next server.
 */
export function drainOnSigterm(
  streamer: Streamer,
  server: Server,
  over: number,
  meanwhile: 'take' | 'refuse',
): void {
  process.once('SIGTERM', () => {
    void (async () => {
      if (meanwhile === 'take') await streamer.drain({ over })
      await streamer.shutdown(server, { over })
      leaveParent()
    })()
  })
}
