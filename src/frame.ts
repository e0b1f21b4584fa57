import type { Encoded } from './encode.js'
import { allocateChunk } from './encode.js'

/**
 * What one frame costs beside its bytes: the objects that hold it, its place in two lists
 * and the allocator's share. Measured by `bench/frame-memory.ts`.
 */
export const FRAME_OVERHEAD = 384

/** What a frame knows of the list it stands in. */
export interface FrameLog {
  readonly length: number
  shift(): Frame | undefined
  readonly onEmpty: () => void
}

/** One message of a topic, encoded, with its number and its place in the history. */
export class Frame implements Encoded {
  readonly chunked: Buffer
  readonly bytes: Buffer
  readonly idLength: number
  /** What it counts against the history's byte budget. */
  readonly cost: number
  /** The history's links in order of number over all topics. */
  previous: Frame | null = null
  next: Frame | null = null

  constructor(
    readonly number: number,
    encoded: Encoded,
    /** When it arrived, by the Streamer's clock, in milliseconds. */
    readonly time: number,
    /** The frames of its topic. */
    readonly log: FrameLog,
  ) {
    this.chunked = encoded.chunked
    this.bytes = encoded.bytes
    this.idLength = encoded.idLength
    this.cost = encoded.chunked.length + FRAME_OVERHEAD
  }
}

/** The most bytes that are joined into one write, unless a single event is larger. */
export const BATCH_BYTES = 64 * 1024

/**
 * Bytes on their way to connections: one event, or several joined once for every client that
 * stands at the same place.
 */
export class Batch {
  private constructor(
    readonly chunked: Buffer,
    readonly bytes: Buffer,
    /** How many events it holds. */
    readonly events: number,
    /** The number of its first frame; 0 where it moves no cursor. */
    readonly first: number,
    /** The number of its last frame; 0 where it moves no cursor. */
    readonly last: number,
  ) {}

  /** One event outside the history: an info message, a heartbeat. */
  static message(encoded: Encoded): Batch {
    return new Batch(encoded.chunked, encoded.bytes, 1, 0, 0)
  }

  /** Frames in order of number, joined into as few batches as {@link BATCH_BYTES} allows. */
  static join(frames: readonly Frame[]): Batch[] {
    const batches: Batch[] = []
    for (let from = 0; from < frames.length;) {
      let size = 0
      let to = from
      do {
        size += frames[to]!.bytes.length
        to++
      } while (to < frames.length && size + frames[to]!.bytes.length <= BATCH_BYTES)
      batches.push(Batch.of(frames, from, to, size))
      from = to
    }
    return batches
  }

  /** Frames that are older than the cursor: sent without `id:`, so that no position moves back. */
  static withoutIds(frames: readonly Frame[]): Batch {
    const parts = frames.map((frame) => frame.bytes.subarray(frame.idLength))
    const size = parts.reduce((sum, part) => sum + part.length, 0)
    return Batch.copy(parts, size, 0, 0)
  }

  private static of(frames: readonly Frame[], from: number, to: number, size: number): Batch {
    const last = frames[to - 1]!
    if (to - from === 1) return new Batch(last.chunked, last.bytes, 1, last.number, last.number)
    const parts: Buffer[] = []
    for (let i = from; i < to; i++) parts.push(frames[i]!.bytes)
    return Batch.copy(parts, size, frames[from]!.number, last.number)
  }

  private static copy(parts: readonly Buffer[], size: number, first: number, last: number): Batch {
    const { chunked, start } = allocateChunk(size)
    let at = start
    for (const part of parts) {
      chunked.set(part, at)
      at += part.length
    }
    return new Batch(chunked, chunked.subarray(start, at), parts.length, first, last)
  }
}
