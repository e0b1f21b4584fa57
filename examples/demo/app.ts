import { fileURLToPath } from 'node:url'
import express, { type ErrorRequestHandler, type Express } from 'express'
import type { Streamer } from 'unifrost'
import { clients, subscriptions, unifrostExpress } from 'unifrost/express'
import { Cutter } from './cutter.js'
import { clientIdField, nameField, secondsField, textField } from './fields.js'
import type { Publisher } from './publisher.js'
import { CHAT, COMPANIES, LIKES, tickerTopic, tickerTopics } from './topics.js'

export interface AppOptions {
  streamer: Streamer
  publisher: Publisher
  brokerName: string
  ticks: readonly string[]
}

const PUBLIC = fileURLToPath(new URL('public', import.meta.url))

export function createApp({ streamer, publisher, brokerName, ticks }: AppOptions): Express {
  const app = express()
  const cutter = new Cutter()
  const json = express.json({ limit: '4kb' })
  const switchable = new Set(ticks)

  app.disable('x-powered-by')
  app.use((_req, res, next) => {
    res.set('Content-Security-Policy', "default-src 'self'; frame-ancestors 'none'")
    res.set('X-Content-Type-Options', 'nosniff')
    next()
  })
  app.use(express.static(PUBLIC, { cacheControl: false }))

  // unifrost's part: the stream, a new client, and its topics.
  app.use('/events', cutter.watch, unifrostExpress(streamer))
  app.use('/clients', clients(streamer))
  app.use(
    '/update_subscriptions',
    subscriptions(streamer, { authorize: (_principal, topic) => switchable.has(topic) }),
  )

  // The server subscribes every client to these topics, with their last messages.
  app.post('/join', json, async (req, res) => {
    const id = clientIdField(req.body)
    await streamer.subscribe(id, CHAT, { rewind: 10 })
    await streamer.subscribe(id, LIKES, { rewind: 1 })
    for (const topic of tickerTopics) await streamer.subscribe(id, topic, { rewind: 40 })
    res.json({ at: Date.now(), likes: publisher.likes })
  })

  app.get('/demo.json', (_req, res) => {
    res.set('Cache-Control', 'no-store').json({
      broker: brokerName,
      ticks,
      companies: COMPANIES.map(({ symbol, name }) => ({
        symbol,
        name,
        topic: tickerTopic(symbol),
      })),
    })
  })

  app.post('/likes', (_req, res) => {
    res.json({ likes: publisher.like() })
  })

  app.post('/chat', json, (req, res) => {
    publisher.chat(nameField(req.body), textField(req.body))
    res.status(202).json({})
  })

  app.post('/drop', json, (req, res) => {
    res.json({ dropped: cutter.drop(clientIdField(req.body), secondsField(req.body)) })
  })

  app.use((_req, res) => {
    res.status(404).json({ error: { code: 'not-found', message: 'There is nothing here.' } })
  })
  app.use(sendError)
  return app
}

/** Answers errors in JSON that holds only what the client may see. */
const sendError: ErrorRequestHandler = (error, _req, res, next) => {
  // Express ends a response that has begun.
  if (res.headersSent) return next(error)
  const { status = 500, expose = false, code, type, message, headers } = error
  if (headers) res.set(headers)
  res.status(status).json({
    error: {
      code: expose ? (code ?? type ?? 'bad-request') : 'internal',
      message: expose ? message : 'The server could not do this.',
    },
  })
  if (!expose) process.stderr.write(`${String(error?.stack ?? error)}\n`)
}
