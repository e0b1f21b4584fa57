import { createHistogram } from 'node:perf_hooks'
import type { RecordableHistogram } from 'node:perf_hooks'

const DATA = Buffer.from('\ndata: ')
const ID = Buffer.from('\nid: ')
/** How much of a message must be there for its time to be read. */
const TIME_LENGTH = 20
const OPENING_BRACE = 0x7b
const LINE_FEED = 0x0a

/** What all streams of a crowd have got together. */
export interface Counts {
  received: number
  /** Messages that said something was lost. */
  lost: number
  /** From publishing to here, in microseconds. */
  times: RecordableHistogram
}

/** What a message of a crowd's run begins with: when it was published. */
export function timestamp(): string {
  // Microseconds of the machine's monotonic clock, which all processes share.
  return String(process.hrtime.bigint() / 1_000n)
}

/** Reads a stream as cheaply as can be: it counts messages, and reads the time at the head of each. */
export class StreamReader {
  lastEventId = ''
  /** The end of what came, in case a line was cut. */
  private tail = Buffer.alloc(0)

  constructor(private readonly counts: Counts) {}

  static counts(): Counts {
    return { received: 0, lost: 0, times: createHistogram({ figures: 3 }) }
  }

  /** What comes from now on is of another connection. */
  reconnect(): void {
    this.tail = Buffer.alloc(0)
  }

  read(chunk: Buffer): void {
    const { counts, tail } = this
    const bytes = tail.length === 0 ? chunk : Buffer.concat([tail, chunk])
    const now = Number(timestamp())
    let at = 0
    for (;;) {
      const found = bytes.indexOf(DATA, at)
      if (found < 0 || found + DATA.length + TIME_LENGTH > bytes.length) break
      at = found + DATA.length
      if (bytes[at] === OPENING_BRACE) {
        if (bytes.subarray(at, at + 200).includes('messages-lost')) counts.lost++
        continue
      }
      counts.received++
      const time = bytes.toString('latin1', at, at + TIME_LENGTH)
      counts.times.record(Math.max(1, now - Number.parseInt(time, 10)))
    }
    const id = bytes.lastIndexOf(ID)
    const end = id < 0 ? -1 : bytes.indexOf(LINE_FEED, id + ID.length)
    if (end > 0) this.lastEventId = bytes.toString('latin1', id + ID.length, end)
    this.tail = Buffer.from(bytes.subarray(Math.max(at, bytes.length - 64)))
  }
}
