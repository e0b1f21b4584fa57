import { PartError } from './errors.js'

/** One part of a run, as it was appended. */
export interface Part {
  /** Counted from 1. A transient part has the number of the part before it. */
  readonly number: number
  /** The part's text, or its JSON. */
  readonly text: string
  readonly isJson: boolean
  readonly event: string | undefined
  readonly transient: boolean
}

/**
 * A part in bytes: a byte of flags, the text's length in four, and its text; where it has an event's
 * name, the name's length in one byte and the name stand between. So a part of 63 bytes takes 68.
 */
const HEAD = 5
const NAMED = 1
const JSON_TEXT = 2
const TRANSIENT = 4
const LONGEST_EVENT = 255
const FIRST_BLOCK = 256
const LARGEST_BLOCK = 64 * 1024

/** Joins parts that are appended at once into one buffer. */
export class Batch {
  private bytes = Buffer.allocUnsafe(FIRST_BLOCK)
  private used = 0
  /** How many parts in it are kept. */
  kept = 0

  get isEmpty(): boolean {
    return this.used === 0
  }

  get length(): number {
    return this.used
  }

  /** @param size How many bytes the part's text has. */
  add({ text, isJson, event, transient }: Omit<Part, 'number'>, size: number): void {
    const name = event === undefined ? 0 : 1 + Buffer.byteLength(event)
    this.reserve(HEAD + name + size)
    const { bytes } = this
    const flags = (name > 0 ? NAMED : 0) | (isJson ? JSON_TEXT : 0) | (transient ? TRANSIENT : 0)
    bytes[this.used] = flags
    bytes.writeUInt32LE(size, this.used + 1)
    let at = this.used + HEAD
    if (event !== undefined) {
      bytes[at] = name - 1
      at += 1 + bytes.write(event, at + 1)
    }
    this.used = at + bytes.write(text, at)
    if (!transient) this.kept++
  }

  /** All of it. The batch must not be added to afterwards. */
  take(): Buffer {
    return this.bytes.subarray(0, this.used)
  }

  private reserve(size: number): void {
    const needed = this.used + size
    if (needed <= this.bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(needed, this.bytes.length * 2))
    this.bytes.copy(larger, 0, 0, this.used)
    this.bytes = larger
  }
}

/** @throws PartError if no event of a run can have this name. */
export function checkEventLength(name: string): void {
  if (Buffer.byteLength(name) > LONGEST_EVENT) {
    throw new PartError(`event takes a name of at most ${LONGEST_EVENT} bytes.`)
  }
}

/** The place behind the part that begins at `at`. */
function endOf(bytes: Buffer, at: number): number {
  const name = bytes[at]! & NAMED ? 1 + bytes[at + HEAD]! : 0
  return at + HEAD + name + bytes.readUInt32LE(at + 1)
}

function partAt(bytes: Buffer, at: number, number: number): Part {
  const flags = bytes[at]!
  const end = endOf(bytes, at)
  const name = flags & NAMED ? bytes[at + HEAD]! : 0
  const begin = at + HEAD + (flags & NAMED ? 1 + name : 0)
  return {
    number,
    text: bytes.toString('utf8', begin, end),
    isJson: (flags & JSON_TEXT) !== 0,
    event: flags & NAMED ? bytes.toString('utf8', at + HEAD + 1, begin) : undefined,
    transient: (flags & TRANSIENT) !== 0,
  }
}

/** The parts of a batch. @param last The number of the part before them. */
export function* partsOf(batch: Buffer, last: number): Generator<Part> {
  let number = last
  for (let at = 0; at < batch.length; at = endOf(batch, at)) {
    if ((batch[at]! & TRANSIENT) === 0) number++
    yield partAt(batch, at, number)
  }
}

interface Block {
  bytes: Buffer
  used: number
  /** The number of its first part. */
  readonly first: number
}

/** The parts of one run, joined in a few buffers. */
export class PartLog {
  private readonly blocks: Block[] = []
  /** How many parts there are; the last one's number. */
  count = 0
  /** The bytes of their texts. */
  payload = 0

  /** Adds what is kept of a batch. */
  append(batch: Buffer): void {
    for (let at = 0; at < batch.length;) {
      const end = endOf(batch, at)
      if ((batch[at]! & TRANSIENT) === 0) this.push(batch, at, end)
      at = end
    }
  }

  /** Nothing is added any more: gives back the room that was reserved. */
  trim(): void {
    const last = this.blocks.at(-1)
    if (last === undefined || last.used === last.bytes.length) return
    const bytes = Buffer.allocUnsafeSlow(last.used)
    last.bytes.copy(bytes, 0, 0, last.used)
    last.bytes = bytes
  }

  /** The memory that the parts take, in bytes. */
  get held(): number {
    return this.blocks.reduce((sum, { bytes }) => sum + bytes.length, 0)
  }

  /** The parts behind a number, in order. What is added meanwhile is among them. */
  *after(number: number): Generator<Part> {
    let index = this.blockOf(number + 1)
    for (let block = this.blocks[index]; block !== undefined; block = this.blocks[++index]) {
      let at = 0
      for (let next = block.first; at < block.used; next++) {
        // A block may be replaced by a smaller copy of itself in between.
        if (next > number) yield partAt(block.bytes, at, next)
        at = endOf(block.bytes, at)
      }
    }
  }

  private blockOf(number: number): number {
    let low = 0
    let high = this.blocks.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.blocks[middle]!.first <= number) low = middle
      else high = middle - 1
    }
    return low
  }

  private push(batch: Buffer, begin: number, end: number): void {
    const size = end - begin
    let block = this.blocks.at(-1)
    if (block === undefined || block.used + size > block.bytes.length) {
      block = this.room(block, size)
    }
    batch.copy(block.bytes, block.used, begin, end)
    block.used += size
    this.count++
    this.payload += batch.readUInt32LE(begin + 1)
  }

  /** A block with room for one more part: the last one made larger, or a new one. */
  private room(last: Block | undefined, size: number): Block {
    if (last !== undefined && last.bytes.length < LARGEST_BLOCK) {
      const length = Math.min(LARGEST_BLOCK, Math.max(last.bytes.length * 2, last.used + size))
      if (length >= last.used + size) {
        const bytes = Buffer.allocUnsafeSlow(length)
        last.bytes.copy(bytes, 0, 0, last.used)
        last.bytes = bytes
        return last
      }
    }
    const smallest = last === undefined ? FIRST_BLOCK : LARGEST_BLOCK
    const bytes = Buffer.allocUnsafeSlow(Math.max(smallest, size))
    const block = { bytes, used: 0, first: this.count + 1 }
    this.blocks.push(block)
    return block
  }
}
