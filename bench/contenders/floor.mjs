// The limit inside Node: bytes in chunk framing, made once, joined once per turn of the event
// loop, straight to the sockets in dense arrays. No resuming, no backpressure, nobody leaves.
import { createServer } from 'node:http'
import { contend, eventText, HELLO, indexOf, STREAM_HEADERS, topicsOf } from './contender.mjs'

const members = new Map()
let number = 0
let fresh = new Map()
let scheduled = false

function chunkOf(text) {
  return Buffer.from(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`)
}

function flush() {
  scheduled = false
  const turn = fresh
  fresh = new Map()
  if (turn.size === 1) {
    const [[topic, chunks]] = turn
    const bytes = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)
    for (const { socket } of members.get(topic) ?? []) socket.write(bytes)
    return
  }
  const addressed = []
  for (const [topic, chunks] of turn) {
    for (const member of members.get(topic) ?? []) {
      if (member.pending.length === 0) addressed.push(member)
      for (const chunk of chunks) member.pending.push(chunk)
    }
  }
  for (const member of addressed) {
    const { pending, socket } = member
    socket.write(pending.length === 1 ? pending[0] : Buffer.concat(pending))
    member.pending = []
  }
}

const server = createServer((request, response) => {
  response.writeHead(200, STREAM_HEADERS)
  response.write(HELLO)
  const member = { socket: response.socket, pending: [] }
  for (const topic of topicsOf(indexOf(request.url))) {
    const list = members.get(topic)
    if (list === undefined) members.set(topic, [member])
    else list.push(member)
  }
})

contend(server, (topic, payload) => {
  const chunks = fresh.get(topic)
  const chunk = chunkOf(eventText(++number, topic, payload))
  if (chunks === undefined) fresh.set(topic, [chunk])
  else chunks.push(chunk)
  if (scheduled) return
  scheduled = true
  setImmediate(flush)
})
