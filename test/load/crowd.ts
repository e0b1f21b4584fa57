/** Plays the browsers of a load run: raw sockets, told what to do by the parent. */
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import type { CrowdCommand, CrowdReport } from './messages.js'

const PORT = Number(process.argv[2])
/** How many connections may be on their way at once. */
const ABREAST = 200
const DATA = Buffer.from('\ndata: ')
const ID = Buffer.from('\nid: ')

interface Stream {
  index: number
  reading: boolean
  socket: Socket | undefined
  greeted: boolean
  /** The end of what came, in case a line was cut. */
  tail: Buffer
  lastEventId: string
}

const streams = new Map<number, Stream>()
let times: number[] = []
let received = 0
let lost = 0
let opening = 0
const waiting: Stream[] = []

function open(stream: Stream): void {
  waiting.push(stream)
  next()
}

function next(): void {
  while (opening < ABREAST && waiting.length > 0) {
    opening++
    start(waiting.shift()!)
  }
}

function start(stream: Stream): void {
  const resume = stream.lastEventId === '' ? '' : `Last-Event-ID: ${stream.lastEventId}\r\n`
  const socket = connect(PORT, '127.0.0.1')
  stream.socket = socket
  stream.greeted = false
  stream.tail = Buffer.alloc(0)
  let counted = true
  const settle = () => {
    if (counted) opening--
    counted = false
    next()
  }
  socket.write(
    `GET /?id=c${stream.index} HTTP/1.1\r\nHost: load\r\nAccept: text/event-stream\r\n${resume}\r\n`,
  )
  socket.on('data', (chunk) => {
    if (!stream.greeted && chunk.includes('"config"')) {
      stream.greeted = true
      settle()
      if (!stream.reading) socket.pause()
    }
    read(stream, chunk)
  })
  socket.on('error', () => socket.destroy())
  socket.on('close', () => {
    settle()
    if (stream.socket === socket) stream.socket = undefined
  })
}

function read(stream: Stream, chunk: Buffer): void {
  const bytes = stream.tail.length === 0 ? chunk : Buffer.concat([stream.tail, chunk])
  const now = performance.timeOrigin + performance.now()
  let at = 0
  for (;;) {
    const found = bytes.indexOf(DATA, at)
    // A number of thirteen digits, a dot and two more must be there to be read.
    if (found < 0 || found + DATA.length + 16 > bytes.length) break
    at = found + DATA.length
    if (bytes[at] === 0x7b) {
      if (bytes.subarray(at, at + 200).includes('messages-lost')) lost++
      continue
    }
    received++
    times.push(now - Number(bytes.toString('latin1', at, at + 16)))
  }
  const id = bytes.lastIndexOf(ID)
  const end = id < 0 ? -1 : bytes.indexOf(0x0a, id + ID.length)
  if (end > 0) stream.lastEventId = bytes.toString('latin1', id + ID.length, end)
  stream.tail = Buffer.from(bytes.subarray(Math.max(at, bytes.length - 64)))
}

function report(): CrowdReport {
  const sorted = Float64Array.from(times).sort()
  const quantile = (q: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0
  let greeted = 0
  for (const stream of streams.values()) if (stream.greeted && stream.socket) greeted++
  const result = {
    greeted,
    received,
    lost,
    p50: quantile(0.5),
    p99: quantile(0.99),
    max: quantile(1),
  }
  times = []
  received = 0
  lost = 0
  return result
}

process.on('message', (command: CrowdCommand) => {
  if (command.do === 'open') {
    for (let index = command.from; index < command.to; index++) {
      const stream = streams.get(index) ?? {
        index,
        reading: command.reading,
        socket: undefined,
        greeted: false,
        tail: Buffer.alloc(0),
        lastEventId: '',
      }
      streams.set(index, stream)
      if (stream.socket === undefined) open(stream)
    }
  } else if (command.do === 'cut') {
    for (const stream of streams.values()) {
      stream.socket?.resetAndDestroy()
      stream.socket = undefined
      open(stream)
    }
  } else if (command.do === 'drop') {
    const chosen = [...streams.values()].slice(0, command.count)
    for (const stream of chosen) {
      stream.socket?.resetAndDestroy()
      streams.delete(stream.index)
    }
  } else process.send!(report())
})
process.on('disconnect', () => process.exit())
process.send!('ready')
