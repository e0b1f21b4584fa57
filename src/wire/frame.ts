import { allocateChunk, Encoded } from './encode.js'

/**
 * The memory that one frame takes beside its bytes: its objects, its links in two lists and the
 * allocator's share. Measured by `bench/frame-memory.ts`.
 */
export const FRAME_OVERHEAD = 640

/** The frames of one topic. */
export interface FrameList {
  /** The topic's name. */
  readonly name: string
  readonly length: number
  /** How old its frames become, in milliseconds; undefined: as those of other topics. */
  readonly maxAge?: number | undefined
  shift(): Frame | undefined
}

/** One message of a topic: its bytes, its number and its links in the history. */
export class Frame extends Encoded {
  /** The history links all topics' frames in order of number. */
  previous: Frame | null = null
  next: Frame | null = null
  /** Those next to it in time that may become equally old. */
  older: Frame | null = null
  younger: Frame | null = null
  /** Its key, where its topic is conflated, while it is the newest of its key. */
  key: string | undefined = undefined
  /** The message, where its topic has a filter, which is asked for each client. */
  message: string | Uint8Array | undefined = undefined
  /** Whether a newer one of its key has come: who is behind and conflates skips it. */
  superseded = false

  constructor(
    readonly number: number,
    { chunked, start, idLength }: Encoded,
    /** When it arrived, by the Streamer's clock, in milliseconds. */
    readonly time: number,
    /** Its topic's frames. */
    readonly list: FrameList,
  ) {
    super(chunked, start, idLength)
  }

  /** Orders frames by number, and frames of one number (one entry of a log) by topic. */
  static compare(this: void, a: Frame, b: Frame): number {
    if (a.number !== b.number) return a.number - b.number
    return a.list.name < b.list.name ? -1 : a.list.name > b.list.name ? 1 : 0
  }

  /** The bytes that it takes of the history's budget. */
  get cost(): number {
    const { message } = this
    const bytes = typeof message === 'string' ? 2 * message.length : (message?.length ?? 0)
    return this.chunked.length + FRAME_OVERHEAD + bytes
  }
}

/** The most bytes that are joined into one write. A larger event is written alone. */
export const BATCH_BYTES = 64 * 1024

/**
 * Bytes to write to connections: one event, or several that are joined once for all clients with
 * the same cursor.
 */
export class Batch extends Encoded {
  private plain: Buffer | undefined

  private constructor(
    chunked: Buffer,
    start: number,
    /** How many events it holds. */
    readonly events: number,
    /** The number of its last frame, or 0 if it moves no cursor. */
    readonly last: number,
  ) {
    super(chunked, start, 0)
  }

  override get bytes(): Buffer {
    this.plain ??= super.bytes
    return this.plain
  }

  /**
   * Joins frames, which are in order of number, into as few batches as {@link BATCH_BYTES} allows.
   * Frames of one number go into one batch, since a cursor can't stand between them.
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

  /** The first batch that `join` would make of these frames. */
  static first(frames: readonly Frame[]): Batch | undefined {
    return frames.length === 0 ? undefined : Batch.from(frames, 0)
  }

  /** Frames that are older than the cursor: each is sent with an id of its own kind, or without. */
  static withIds<T extends Encoded>(
    frames: readonly T[],
    idOf: (frame: T) => string | undefined,
  ): Batch {
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
      // All but its own id and the empty line.
      at += source.copy(chunked, at, from, from + length - idLength - 1)
      at += chunked.write(`${ids[i]!}\n`, at, 'latin1')
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
