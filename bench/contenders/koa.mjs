// As in most tutorials: Koa, a PassThrough as the body, and a string made for each client.
import Koa from 'koa'
import { createServer } from 'node:http'
import { PassThrough } from 'node:stream'
import { contend, eventText, HELLO, STREAM_HEADERS } from './contender.mjs'

const clients = new Set()
let number = 0
const app = new Koa({ silent: true })
app.silent = true

app.use(async (ctx) => {
  const stream = new PassThrough()
  ctx.set(STREAM_HEADERS)
  ctx.status = 200
  ctx.body = stream
  stream.write(HELLO)
  clients.add(stream)
  ctx.req.on('close', () => clients.delete(stream))
})

contend(createServer(app.callback()), (topic, payload) => {
  number++
  for (const stream of clients) stream.write(eventText(number, topic, payload))
})
