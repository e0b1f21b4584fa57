// node:http that holds its responses and does nothing: what a connection costs at least.
import { createServer } from 'node:http'
import { contend, HELLO, STREAM_HEADERS } from './contender.mjs'

const responses = []

const server = createServer((_request, response) => {
  response.writeHead(200, STREAM_HEADERS)
  response.write(HELLO)
  responses.push(response)
})

contend(server, () => {
  throw new Error('It only holds connections.')
})
