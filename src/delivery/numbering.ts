import { randomBytes } from 'node:crypto'
import type { Log } from '../log.js'
import { LogUnavailableError } from '../errors.js'
import type { Position } from '../wire/position.js'
import { formatPosition, parsePosition } from '../wire/position.js'

/**
 * What numbers the frames: one counter in this process, or the log of the driver, whose numbers
 * are the same on every server.
 */
export class Numbering {
  /** Names it. */
  epoch: string
  private opening: Promise<void> | undefined

  constructor(readonly log?: Log) {
    this.epoch = log === undefined ? randomBytes(5).toString('hex') : ''
  }

  /**
   * What to wait for before there can be positions, or undefined where there is nothing.
   * It rejects with a LogUnavailableError, and may be tried again.
   *
   * @param opened Called once, when the log's positions are known.
   */
  ready(opened: () => void): Promise<void> | undefined {
    const { log } = this
    if (log === undefined || this.epoch !== '') return undefined
    this.opening ??= this.open(log, opened).finally(() => (this.opening = undefined))
    return this.opening
  }

  /** Takes over the epoch of a log that was made anew. */
  restart(): void {
    this.epoch = this.log?.epoch ?? this.epoch
  }

  format(number: number, tie?: string): string {
    return formatPosition(this.epoch, number, tie)
  }

  parse(text: string): Position | undefined {
    const position = parsePosition(this.epoch, text)
    return this.log === undefined && position?.tie !== undefined ? undefined : position
  }

  private async open(log: Log, opened: () => void): Promise<void> {
    try {
      await log.open()
    } catch (cause) {
      throw new LogUnavailableError(cause)
    }
    if (this.epoch !== '') return
    this.restart()
    opened()
  }
}
