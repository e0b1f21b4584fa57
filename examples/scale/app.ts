// The app of every server and worker of these examples.
import express from 'express'
import type { Express } from 'express'
import type { Streamer } from 'unifrost'
import { autoClient, clients, subscriptions, unifrostExpress } from 'unifrost/express'

export const topics = ['clock', 'dice']

/** @param server The name of the process, for /presence. */
export function makeApp(streamer: Streamer, server: string | undefined): Express {
  const authorize = (_principal: unknown, topic: string) => topics.includes(topic)
  const app = express()

  // The load balancer's health check: a server that has lost its directory gets no new streams.
  app.get('/readyz', (_request, response) => {
    const health = streamer.health()
    response.status(health.ok ? 200 : 503).json(health)
  })
  app.use('/clients', clients(streamer))
  app.use('/subscriptions', subscriptions(streamer, { authorize }))
  app.use('/events', autoClient(streamer, { authorize }), unifrostExpress(streamer))
  // The number of clients on all servers.
  app.get('/presence', async (_request, response) => {
    response.json({ server, clock: (await streamer.clientsOf('clock')).clients })
  })
  return app
}
