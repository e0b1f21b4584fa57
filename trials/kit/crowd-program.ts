/** Plays the browsers of a run that measures: raw sockets that read and count. See crowd.ts. */
import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { constants, setPriority } from 'node:os'
import { answerParent, configFromParent, readyForParent } from './child-program.js'
import type { CrowdCommand, CrowdReport, CrowdSettings } from './crowd-messages.js'
import { StreamReader } from './stream-reader.js'

const { servers, abreast, tries = 1, register } = configFromParent<CrowdSettings>()
/** How many streams have one network address. */
const NEIGHBOURS = 20

// What is measured is how late the server is, not who else has the processor of this one.
try {
  setPriority(constants.priority.PRIORITY_HIGHEST)
} catch {
  // Only root may.
}

interface Member {
  index: number
  /** The id of its client, once that is made. */
  id: string | undefined
  server: number
  reading: boolean
  socket: Socket | undefined
  greeted: boolean
  /** How often it has been refused since it was last greeted. */
  refusals: number
  reader: StreamReader
}

const members = new Map<number, Member>()
const counts = StreamReader.counts()
const agent = new Agent({ keepAlive: true, maxSockets: abreast })
const refused: Record<string, number> = {}
let ended = 0
let opening = 0
const waiting: Member[] = []

function open(member: Member): void {
  waiting.push(member)
  next()
}

function next(): void {
  while (opening < abreast && waiting.length > 0) {
    opening++
    const member = waiting.shift()!
    if (member.id !== undefined) start(member, member.id)
    else void registered(member).then((id) => start(member, (member.id = id)))
  }
}

async function registered({ index, server }: Member): Promise<string> {
  if (register === undefined) return `c${index}`
  const { each, topics } = register
  const { client_id: id } = (await post(server, '/clients', {})) as { client_id: string }
  const add = Array.from({ length: each }, (_, i) => `t${(index * each + i) % topics}`)
  await post(server, '/subscriptions', { client_id: id, add })
  return id
}

function post(server: number, path: string, body: object): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' }
    const asked = request({ ...servers[server], path, method: 'POST', agent, headers })
    asked.on('error', (error) => {
      // The server has closed a connection that was kept, as this was on its way.
      if (asked.reusedSocket) post(server, path, body).then(resolve, reject)
      else reject(error)
    })
    asked.on('response', (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (text += chunk))
      response.on('end', () => {
        if ((response.statusCode ?? 500) < 300) resolve(JSON.parse(text))
        else reject(new Error(`POST ${path}: ${response.statusCode} ${text}`))
      })
    })
    asked.end(JSON.stringify(body))
  })
}

function start(member: Member, id: string): void {
  const { index, reader } = member
  const { host, port } = servers[member.server]!
  const resume = reader.lastEventId === '' ? '' : `Last-Event-ID: ${reader.lastEventId}\r\n`
  const localAddress = `127.0.1.${(Math.floor(index / NEIGHBOURS) % 250) + 1}`
  const socket = connect({ port, host, localAddress, noDelay: true })
  member.socket = socket
  member.greeted = false
  reader.reconnect()
  let head = ''
  let counted = true
  const settle = () => {
    if (counted) opening--
    counted = false
    next()
  }
  socket.write(
    `GET /events?id=${id} HTTP/1.1\r\nHost: crowd\r\nAccept: text/event-stream\r\n${resume}\r\n`,
  )
  socket.on('data', (chunk) => {
    if (!member.greeted && member.socket === socket) {
      head += chunk.toString('latin1')
      if (head.includes('"config"')) {
        member.greeted = true
        member.refusals = 0
        settle()
      }
    }
    if (member.reading) reader.read(chunk)
  })
  let failure = ''
  socket.on('error', (error) => {
    failure = error.message
    socket.destroy()
  })
  socket.on('close', () => {
    settle()
    if (member.socket !== socket) return
    member.socket = undefined
    if (member.greeted) return void ended++
    const why = head.split('\r\n', 1)[0] || failure || 'no answer'
    refused[why] = (refused[why] ?? 0) + 1
    if (++member.refusals < tries) open(member)
    else ended++
  })
}

/** It ends by the crowd's own doing. */
function close(member: Member): void {
  const { socket } = member
  member.socket = undefined
  socket?.resetAndDestroy()
}

function report(): CrowdReport {
  let greeted = 0
  for (const member of members.values()) if (member.greeted && member.socket) greeted++
  const { received, lost, times } = counts
  const milliseconds = (percentile: number) =>
    times.count === 0 ? 0 : times.percentile(percentile) / 1_000
  const [p50, p99, max] = [milliseconds(50), milliseconds(99), milliseconds(100)]
  return { greeted, ended, received, lost, p50, p99, max, refused }
}

function take(): CrowdReport {
  const taken = report()
  counts.times.reset()
  counts.received = 0
  counts.lost = 0
  ended = 0
  return taken
}

function stopReading(from: number, to: number): void {
  for (let index = from; index < to; index++) {
    const member = members.get(index)
    if (member === undefined) continue
    member.reading = false
    member.socket?.pause()
  }
}

function drop(count: number): void {
  const chosen = [...members.values()].slice(0, 2 * count)
  for (const [index, member] of chosen.entries()) {
    close(member)
    if (index < count) members.delete(member.index)
    else open(member)
  }
}

function cut(): void {
  for (const member of members.values()) close(member)
  for (const member of members.values()) {
    // To the next server each, which has to adopt it.
    member.server = (member.server + 1) % servers.length
    open(member)
  }
}

function join(index: number): void {
  const reader = new StreamReader(counts)
  const fresh = { id: undefined, reading: true, socket: undefined, greeted: false, refusals: 0 }
  const member: Member = { index, server: index % servers.length, reader, ...fresh }
  members.set(index, member)
  open(member)
}

answerParent((command: CrowdCommand): CrowdReport => {
  if (command.do === 'take') return take()
  if (command.do === 'stop reading') stopReading(command.from, command.to)
  else if (command.do === 'drop') drop(command.count)
  else if (command.do === 'cut') cut()
  else if (command.do === 'open') {
    for (let index = command.from; index < command.to; index++) join(index)
  }
  return report()
})
readyForParent()
