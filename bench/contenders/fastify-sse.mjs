// Fastify with its own SSE plugin, without a log and with text sent as it is.
import sse from '@fastify/sse'
import fastify from 'fastify'
import { contend, indexOf, Lists } from './contender.mjs'

const clients = new Lists()
let number = 0
const app = fastify({ logger: false })

await app.register(sse, { serializer: (text) => text, heartbeatInterval: 25_000 })
app.get('/events', { sse: 'only' }, async (request, reply) => {
  const index = indexOf(request.url)
  reply.sse.keepAlive()
  clients.add(index, reply.sse)
  reply.sse.onClose(() => clients.delete(index, reply.sse))
  await reply.sse.send({ data: 'hello' })
})
await app.ready()

// A client that goes while it is written to rejects; it leaves the list by itself.
const gone = () => undefined

contend(app.server, (topic, payload) => {
  const message = { id: `0123456789-${++number}`, event: topic, data: payload }
  for (const client of clients.of(topic)) client.send(message).catch(gone)
})
