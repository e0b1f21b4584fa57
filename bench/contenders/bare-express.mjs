// Express with a handler that keeps its responses open and writes nothing more.
import express from 'express'
import { createServer } from 'node:http'
import { contend, HELLO, STREAM_HEADERS } from './contender.mjs'

const app = express()

app.get('/events', (_request, response) => {
  response.set(STREAM_HEADERS)
  response.flushHeaders()
  response.write(HELLO)
})

contend(createServer(app), () => {
  throw new Error('This one publishes nothing.')
})
