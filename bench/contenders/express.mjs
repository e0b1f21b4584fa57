// As in most tutorials: Express, a list of clients, and a string made for each of them.
import express from 'express'
import { createServer } from 'node:http'
import { contend, eventText, HELLO, indexOf, STREAM_HEADERS } from './contender.mjs'

let clients = []
let number = 0
const app = express()

app.get('/events', (request, response) => {
  const id = indexOf(request.url)
  response.set(STREAM_HEADERS)
  response.flushHeaders()
  response.write(HELLO)
  clients.push({ id, response })
  request.on('close', () => {
    clients = clients.filter((client) => client.id !== id)
  })
})

contend(createServer(app), (topic, payload) => {
  number++
  clients.forEach(({ response }) => response.write(eventText(number, topic, payload)))
})
