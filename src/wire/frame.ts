import { allocateChunk, Encoded } from './encode.js'

/**
 * What one frame costs beside its bytes: the objects that hold it, its place in two lists
 * and the allocator's share. Measured by `bench/frame-memory.ts`.
 */
export const FRAME_OVERHEAD = 640

/** What a frame knows of the list it stands in. */
export interface FrameList {
  /** The topic. */
  readonly name: string
  readonly length: number
  shift(): Frame | undefined
}

/** One message of a topic, encoded, with its number and its place in the history. */
export class Frame extends Encoded {
  /** The history's links in order of number over all topics. */
  previous: Frame | null = null
  next: Frame | null = null

  constructor(
    readonly number: number,
    { chunked, start, idLength }: Encoded,
    /** When it arrived, by the Streamer's clock, in milliseconds. */
    readonly time: number,
    /** The frames of its topic. */
    readonly list: FrameList,
  ) {
    super(chunked, start, idLength)
  }

  /** Orders frames by number, and those of one entry of a log by topic. */
  static compare(this: void, a: Frame, b: Frame): number {
    if (a.number !== b.number) return a.number - b.number
    return a.list.name < b.list.name ? -1 : a.list.name > b.list.name ? 1 : 0
  }

  /** What it counts against the history's byte budget. */
  get cost(): number {
    return this.chunked.length + FRAME_OVERHEAD
  }
}

/** The most bytes that are joined into one write, unless a single event is larger. */
export const BATCH_BYTES = 64 * 1024

/**
 * Bytes on their way to connections: one event, or several joined once for every client that
 * stands at the same place.
 */
export class Batch extends Encoded {
  private plain: Buffer | undefined

  private constructor(
    chunked: Buffer,
    start: number,
    /** How many events it holds. */
    readonly events: number,
    /** The number of its last frame; 0 where it moves no cursor. */
    readonly last: number,
  ) {
    super(chunked, start, 0)
  }

  override get bytes(): Buffer {
    this.plain ??= super.bytes
    return this.plain
  }

  /**
   * Frames in order of number, joined into as few batches as {@link BATCH_BYTES} allows. Those of
   * one number stay together: a cursor stands behind all of them or before.
   */
  static join(frames: readonly Frame[]): Batch[] {
    const batches: Batch[] = []
    for (let from = 0; from < frames.length;) {
      const batch = Batch.from(frames, from)
      batches.push(batch)
      from += batch.events
    }
    return batches
  }

  /** The first of these batches. */
  static first(frames: readonly Frame[]): Batch | undefined {
    return frames.length === 0 ? undefined : Batch.from(frames, 0)
  }

  /** Frames that are older than the cursor: each is sent with an id of its own kind, or without. */
  static withIds(frames: readonly Frame[], idOf: (frame: Frame) => string | undefined): Batch {
    const ids = frames.map((frame) => {
      const id = idOf(frame)
      return id === undefined ? '' : `id: ${id}\n`
    })
    const size = frames.reduce(
      (sum, frame, i) => sum + frame.length - frame.idLength + ids[i]!.length,
      0,
    )
    const { chunked, start } = allocateChunk(size, true)
    let at = start
    for (const [i, { chunked: source, start: from, length, idLength }] of frames.entries()) {
      at += chunked.write(ids[i]!, at, 'latin1')
      at += source.copy(chunked, at, from + idLength, from + length)
    }
    return new Batch(chunked, start, frames.length, 0)
  }

  private static from(frames: readonly Frame[], from: number): Batch {
    let size = 0
    let to = from
    do {
      size += frames[to]!.length
      to++
    } while (to < frames.length && belongs(frames, to, size))
    return Batch.of(frames, from, to, size)
  }

  private static of(frames: readonly Frame[], from: number, to: number, size: number): Batch {
    const first = frames[from]!
    const last = frames[to - 1]!
    if (first === last) return new Batch(first.chunked, first.start, 1, first.number)
    const { chunked, start } = allocateChunk(size, true)
    let at = start
    for (let i = from; i < to; i++) {
      const frame = frames[i]!
      at += frame.chunked.copy(chunked, at, frame.start, frame.start + frame.length)
    }
    return new Batch(chunked, start, to - from, last.number)
  }
}

function belongs(frames: readonly Frame[], at: number, size: number): boolean {
  const { length, number } = frames[at]!
  return size + length <= BATCH_BYTES || number === frames[at - 1]!.number
}
