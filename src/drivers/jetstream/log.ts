import { createHash, randomUUID } from 'node:crypto'
import type { Position } from './position.js'

/** What a stream is to those who read it as the log of a driver: its epoch, and how far it is read. */
export class StreamLog {
  onRestart: (() => void) | undefined = undefined
  epoch: string | undefined = undefined
  position = 0
  #created: string | undefined
  readonly #waiting = new Set<() => void>()

  constructor(private readonly stream: string) {}

  /** Everything through here has been handed on, or was for nobody here. */
  at({ created, sequence }: Pick<Position, 'created' | 'sequence'>): void {
    if (created === this.#created && sequence === this.position) return
    if (created !== this.#created || sequence < this.position) {
      this.restart({ created, sequence })
      return
    }
    this.position = sequence
    for (const look of this.#waiting) look()
  }

  /**
   * The stream's numbers have begun anew, or are those of another stream.
   *
   * @returns whether somebody has been told.
   */
  restart({ created, sequence }: Pick<Position, 'created' | 'sequence'>): boolean {
    // The same stream with smaller numbers: of what it was before, the time of its making says
    // nothing, so that another server can't know this epoch.
    const again = created === this.#created ? randomUUID() : ''
    const before = this.epoch
    const name = JSON.stringify([this.stream, created, again])
    this.#created = created
    this.epoch = createHash('sha256').update(name).digest('hex').slice(0, 12)
    this.position = sequence
    for (const look of this.#waiting) look()
    if (before === undefined || this.onRestart === undefined) return false
    this.onRestart()
    return true
  }

  /** Whether it comes to a number, in so many milliseconds. */
  async wait(number: number, timeout: number): Promise<boolean> {
    const { epoch } = this
    const there = () => number <= this.position || epoch !== this.epoch
    if (!there()) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, Math.max(0, timeout))
        const look = () => {
          if (there()) done()
        }
        this.#waiting.add(look)
        const waiting = this.#waiting
        function done(): void {
          clearTimeout(timer)
          waiting.delete(look)
          resolve()
        }
      })
    }
    return epoch === this.epoch && number <= this.position
  }
}
