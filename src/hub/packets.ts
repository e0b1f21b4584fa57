/**
 * What goes over a hub's socket: packets, each with its length, its kind and a body. Calls and their
 * answers are JSON. Entries of the hub's log are binary, and made once for all workers.
 */

import type { Payload } from '../driver.js'

/** The version of what is written here. A hub and its workers must have the same one. */
export const VERSION = 1

/** The kinds of packets. */
export const KIND = {
  /** A call, an answer or an event, as JSON. */
  json: 1,
  /** An entry of the log: number, topic, payload. */
  entry: 2,
  /** Messages of a topic may be missing before this number: number, topic, the reason as text. */
  gap: 3,
  /** A topic has ended on the broker: number, topic, the error as text. */
  fail: 4,
  /** Everything through this number has been sent. */
  mark: 5,
  /** An entry whose event has a name of its own: number, topic, the name's length, name, payload. */
  named: 7,
  /** A part of the log that was asked for: {@link partPacket}. */
  part: 6,
} as const

/** A packet's length, without the four bytes that say it, and its kind. */
const HEAD = 5
/** The head of an entry, a gap or a failure: number and topic. */
const ENTRY_HEAD = 10

/** The most bytes of one packet. A length above it means that something else speaks. */
const MAX_PACKET = 2 ** 30

function packet(kind: number, size: number): Buffer {
  const bytes = Buffer.allocUnsafe(HEAD + size)
  bytes.writeUInt32BE(size + 1, 0)
  bytes[4] = kind
  return bytes
}

/** The kind of a whole packet. */
export function kindOf(bytes: Buffer): number {
  return bytes[4]!
}

export function jsonPacket(value: unknown): Buffer {
  const text = JSON.stringify(value)
  const bytes = packet(KIND.json, Buffer.byteLength(text))
  bytes.write(text, HEAD)
  return bytes
}

/** A message, as an entry of the log. */
export function messagePacket(number: number, topic: number, payload: Payload): Buffer {
  if (typeof payload === 'string' || payload instanceof Uint8Array) {
    return entryPacket(KIND.entry, number, topic, payload)
  }
  const { event, data } = payload
  const name = Buffer.from(event)
  const length = Buffer.alloc(2)
  length.writeUInt16BE(name.length)
  const bytes = typeof data === 'string' ? Buffer.from(data) : data
  return entryPacket(KIND.named, number, topic, Buffer.concat([length, name, bytes]))
}

export function entryPacket(
  kind: number,
  number: number,
  topic: number,
  payload: string | Uint8Array,
): Buffer {
  const isText = typeof payload === 'string'
  const size = isText ? Buffer.byteLength(payload) : payload.byteLength
  const bytes = packet(kind, ENTRY_HEAD + size)
  bytes.writeUIntBE(number, HEAD, 6)
  bytes.writeUInt32BE(topic, HEAD + 6)
  if (isText) bytes.write(payload, HEAD + ENTRY_HEAD)
  else bytes.set(payload, HEAD + ENTRY_HEAD)
  return bytes
}

export function markPacket(number: number): Buffer {
  const bytes = packet(KIND.mark, 6)
  bytes.writeUIntBE(number, HEAD, 6)
  return bytes
}

/** What a message's payload is, by the kind of its packet. */
export function payloadOf(kind: number, payload: Buffer): Payload {
  if (kind !== KIND.named) return payload
  const end = 2 + payload.readUInt16BE(0)
  return { event: payload.toString('utf8', 2, end), data: payload.subarray(end) }
}

/** Reads the body of an entry, a gap or a failure. */
export function readEntry(body: Buffer): { number: number; topic: number; payload: Buffer } {
  return {
    number: body.readUIntBE(0, 6),
    topic: body.readUInt32BE(6),
    payload: body.subarray(ENTRY_HEAD),
  }
}

export function readMark(body: Buffer): number {
  return body.readUIntBE(0, 6)
}

/** A part of the log, as the answer to a call `read`. */
export interface LogPart {
  /** The number of the call. */
  readonly call: number
  /** The part ends with this number. */
  readonly through: number
  /** The hub's numbers of the topics that were asked for, in that order. 0 for one it does not have. */
  readonly topics: readonly number[]
  /** Entries and gaps, as packets. */
  readonly packets: Buffer
}

export function partPacket({ call, through, topics, packets }: LogPart): Buffer {
  const head = 12 + 4 * topics.length
  const bytes = packet(KIND.part, head + packets.length)
  bytes.writeUInt32BE(call, HEAD)
  bytes.writeUIntBE(through, HEAD + 4, 6)
  bytes.writeUInt16BE(topics.length, HEAD + 10)
  topics.forEach((topic, index) => bytes.writeUInt32BE(topic, HEAD + 12 + 4 * index))
  bytes.set(packets, HEAD + head)
  return bytes
}

export function readPart(body: Buffer): LogPart {
  const count = body.readUInt16BE(10)
  return {
    call: body.readUInt32BE(0),
    through: body.readUIntBE(4, 6),
    topics: Array.from({ length: count }, (_, index) => body.readUInt32BE(12 + 4 * index)),
    packets: body.subarray(12 + 4 * count),
  }
}

/** Cuts what a socket gives into packets. A body is valid during the call only. */
export class PacketReader {
  #rest: Buffer[] = []
  #size = 0
  /** How many bytes the next packet takes, as far as that is known. */
  #needed = HEAD

  /** @param take Gets each packet's kind and body. */
  constructor(private readonly take: (kind: number, body: Buffer) => void) {}

  /** @throws Error if this is no stream of packets. */
  push(chunk: Buffer): void {
    this.#rest.push(chunk)
    this.#size += chunk.length
    // A large packet comes in many chunks: they are joined once.
    if (this.#size < this.#needed) return
    const bytes = this.#rest.length === 1 ? chunk : Buffer.concat(this.#rest)
    let at = 0
    this.#needed = HEAD
    while (bytes.length - at >= HEAD) {
      const length = bytes.readUInt32BE(at)
      if (length < 1 || length > MAX_PACKET) throw new Error('This is no hub of unifrost.')
      if (bytes.length - at < 4 + length) {
        this.#needed = 4 + length
        break
      }
      this.take(bytes[at + 4]!, bytes.subarray(at + HEAD, at + 4 + length))
      at += 4 + length
    }
    this.#rest = at === bytes.length ? [] : [bytes.subarray(at)]
    this.#size = bytes.length - at
  }
}
