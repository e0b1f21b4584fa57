import { Batch, Frame } from '../wire/frame.js'

/**
 * The frames of one set of topics in the current tick of the event loop, joined once for all
 * clients with exactly that set.
 *
 * The sets form a tree, in which each further topic is a branch. Topics are walked in one order for
 * all clients, so clients with equal sets come to the same node, and no sets are compared:
 *
 * ```text
 *   a ──▶ a+b ──▶ a+b+c      clients of a and b share the node a+b
 *    └──▶ a+c
 *   b ──▶ b+c
 * ```
 */
export class TickBatch {
  private branches: Map<readonly Frame[], TickBatch> | undefined
  private joined: Batch[] | undefined
  /** How many frames it has. */
  readonly size: number

  constructor(
    private readonly frames: readonly Frame[],
    private readonly parent?: TickBatch,
  ) {
    this.size = frames.length + (parent?.size ?? 0)
  }

  /** With the frames of a further topic: one list for all clients that are sent the same of it. */
  with(frames: readonly Frame[]): TickBatch {
    this.branches ??= new Map()
    let branch = this.branches.get(frames)
    if (branch === undefined) this.branches.set(frames, (branch = new TickBatch(frames, this)))
    return branch
  }

  /** Its frames in order of number, as few writes as possible. */
  batches(): Batch[] {
    this.joined ??= Batch.join(this.inOrder())
    return this.joined
  }

  private inOrder(): readonly Frame[] {
    if (this.parent === undefined) return this.frames
    const all: Frame[] = []
    this.collect(all)
    return isRising(all) ? all : all.sort(Frame.compare)
  }

  /** From the root on: topics are walked in the order of their first frames. */
  private collect(all: Frame[]): void {
    this.parent?.collect(all)
    for (const frame of this.frames) all.push(frame)
  }
}

function isRising(frames: readonly Frame[]): boolean {
  for (let i = 1; i < frames.length; i++) {
    if (Frame.compare(frames[i - 1]!, frames[i]!) > 0) return false
  }
  return true
}
