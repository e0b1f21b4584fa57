/** Plays the browsers of a load run: raw sockets, told what to do by the parent. */
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { constants, setPriority } from 'node:os'
import { createHistogram } from 'node:perf_hooks'
import type { CrowdCommand, CrowdReport } from '../load/counting-server-messages.js'

const PORT = Number(process.argv[2])
/** How many connections may be on their way at once. */
const ABREAST = 1_000
/** How many streams have one network address. */
const NEIGHBOURS = 20
const DATA = Buffer.from('\ndata: ')
const ID = Buffer.from('\nid: ')
/** How much of a message must be there for its time to be read. */
const TIME_LENGTH = 20

// What is measured is how late the server is, not who else has the processor of this one.
try {
  setPriority(constants.priority.PRIORITY_HIGHEST)
} catch {
  // Only root may.
}

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
/** In microseconds. */
const times = createHistogram({ figures: 3 })
let ended = 0
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
  const { index, lastEventId } = stream
  const resume = lastEventId === '' ? '' : `Last-Event-ID: ${lastEventId}\r\n`
  const neighbourhood = Math.floor(index / NEIGHBOURS) % 250
  const localAddress = `127.0.1.${neighbourhood + 1}`
  const socket = connect({ port: PORT, host: '127.0.0.1', localAddress, noDelay: true })
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
    `GET /?id=c${index} HTTP/1.1\r\nHost: load\r\nAccept: text/event-stream\r\n${resume}\r\n`,
  )
  socket.on('data', (chunk) => {
    if (!stream.greeted && chunk.includes('"config"')) {
      stream.greeted = true
      settle()
    }
    read(stream, chunk)
  })
  socket.on('error', () => socket.destroy())
  socket.on('close', () => {
    settle()
    if (stream.socket !== socket) return
    stream.socket = undefined
    ended++
  })
}

/** It ends by the crowd's own doing. */
function close(stream: Stream): void {
  const { socket } = stream
  stream.socket = undefined
  socket?.resetAndDestroy()
}

function read(stream: Stream, chunk: Buffer): void {
  if (!stream.reading) return
  const bytes = stream.tail.length === 0 ? chunk : Buffer.concat([stream.tail, chunk])
  const now = Number(process.hrtime.bigint() / 1_000n)
  let at = 0
  for (;;) {
    const found = bytes.indexOf(DATA, at)
    if (found < 0 || found + DATA.length + TIME_LENGTH > bytes.length) break
    at = found + DATA.length
    if (bytes[at] === 0x7b) {
      if (bytes.subarray(at, at + 200).includes('messages-lost')) lost++
      continue
    }
    received++
    const time = bytes.toString('latin1', at, at + TIME_LENGTH)
    times.record(Math.max(1, now - Number.parseInt(time, 10)))
  }
  const id = bytes.lastIndexOf(ID)
  const end = id < 0 ? -1 : bytes.indexOf(0x0a, id + ID.length)
  if (end > 0) stream.lastEventId = bytes.toString('latin1', id + ID.length, end)
  stream.tail = Buffer.from(bytes.subarray(Math.max(at, bytes.length - 64)))
}

function report(): CrowdReport {
  const milliseconds = (percentile: number) =>
    times.count === 0 ? 0 : times.percentile(percentile) / 1_000
  let greeted = 0
  for (const stream of streams.values()) if (stream.greeted && stream.socket) greeted++
  return {
    greeted,
    ended,
    received,
    lost,
    p50: milliseconds(50),
    p99: milliseconds(99),
    max: milliseconds(100),
  }
}

function take(): CrowdReport {
  const taken = report()
  times.reset()
  ended = 0
  received = 0
  lost = 0
  return taken
}

function stopReading(from: number, to: number): void {
  for (let index = from; index < to; index++) {
    const stream = streams.get(index)
    if (stream === undefined) continue
    stream.reading = false
    stream.socket?.pause()
  }
}

function drop(count: number): void {
  const chosen = [...streams.values()].slice(0, 2 * count)
  for (const [index, stream] of chosen.entries()) {
    close(stream)
    if (index < count) streams.delete(stream.index)
    else open(stream)
  }
}

process.on('message', (command: CrowdCommand) => {
  if (command.do === 'report') process.send!(report())
  else if (command.do === 'take') process.send!(take())
  else if (command.do === 'stop reading') stopReading(command.from, command.to)
  else if (command.do === 'drop') drop(command.count)
  else if (command.do === 'cut') {
    for (const stream of streams.values()) close(stream)
    for (const stream of streams.values()) open(stream)
  } else {
    for (let index = command.from; index < command.to; index++) {
      const fresh = { reading: true, socket: undefined, greeted: false, lastEventId: '' }
      const stream: Stream = { index, tail: Buffer.alloc(0), ...fresh }
      streams.set(index, stream)
      open(stream)
    }
  }
})
process.on('disconnect', () => process.exit())
process.send!('ready')
