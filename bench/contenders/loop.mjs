// What a good engineer writes by hand: one Buffer for all, and res.write to each client.
import { createServer } from 'node:http'
import { contend, eventText, HELLO, indexOf, Lists, STREAM_HEADERS } from './contender.mjs'

const clients = new Lists()
let number = 0

const server = createServer((request, response) => {
  const index = indexOf(request.url)
  response.writeHead(200, STREAM_HEADERS)
  response.write(HELLO)
  clients.add(index, response)
  response.on('close', () => clients.delete(index, response))
})

contend(server, (topic, payload) => {
  const bytes = Buffer.from(eventText(++number, topic, payload))
  for (const response of clients.of(topic)) response.write(bytes)
})
