// The broker of this example: one JSON object a line, over TCP.
//
//   node examples/driver-harness/broker.mjs 4000
import { createServer } from 'node:net'

/** Who is connected, and what each one is subscribed to. */
const connections = new Map()

function answer(connection, { login, subscribe, unsubscribe, publish, data, count }) {
  if (login && login.password !== 'open sesame') throw new Error('wrong password')
  if (subscribe?.startsWith('denied')) throw new Error(`not allowed: ${subscribe}`)
  if (login) connections.set(connection, new Set())
  if (subscribe) connections.get(connection).add(subscribe)
  if (unsubscribe) connections.get(connection).delete(unsubscribe)
  if (publish) {
    for (const [reader, topics] of connections) {
      if (topics.has(publish)) reader.write(`${JSON.stringify({ topic: publish, data })}\n`)
    }
  }
  if (!count) return {}
  const topics = [...connections.values()].reduce((sum, { size }) => sum + size, 0)
  return { connections: connections.size, topics }
}

const server = createServer((connection) => {
  connection.setNoDelay(true)
  connection.on('error', () => undefined)
  connection.on('close', () => connections.delete(connection))
  let rest = ''
  connection.setEncoding('utf8').on('data', (text) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop()
    for (const line of lines) {
      const { id, ...request } = JSON.parse(line)
      let reply
      try {
        reply = answer(connection, request)
      } catch (error) {
        reply = { error: error.message }
      }
      connection.write(`${JSON.stringify({ id, ...reply })}\n`)
    }
  })
})
server.listen(Number(process.argv[2]), '127.0.0.1')
