import { LogUnavailableError } from '../../errors.js'
import type { Log } from '../../log.js'
import type { Position } from '../../wire/position.js'
import { parsePosition } from '../../wire/position.js'
import { Seal } from '../../wire/seal.js'
import { Numbering, randomKey } from '../numbering.js'

/** Names the numbers of a driver's log, which are the same on every server. */
export class LogNumbering extends Numbering {
  private opening: Promise<void> | undefined

  /** @param secret The option: what the servers share, where the driver's log has nothing of that kind. */
  constructor(
    private readonly log: Log,
    private readonly secret: string | undefined,
  ) {
    super('')
  }

  /**
   * What to wait for before there can be positions, or undefined where there is nothing.
   * It rejects with a LogUnavailableError, and may be tried again.
   *
   * @param opened Called once, when the log's positions are known.
   */
  ready(opened: () => void): Promise<void> | undefined {
    if (this.epoch !== '') return undefined
    this.opening ??= this.open(opened).finally(() => (this.opening = undefined))
    return this.opening
  }

  /** Takes over the epoch of a log that was made anew. */
  restart(): void {
    this.epoch = this.log.epoch ?? this.epoch
    this.seal = new Seal(this.secret ?? this.log.secret ?? randomKey())
  }

  override parse(text: string): Position | undefined {
    return parsePosition(this.epoch, text)
  }

  private async open(opened: () => void): Promise<void> {
    try {
      await this.log.open()
    } catch (cause) {
      throw new LogUnavailableError(cause)
    }
    if (this.epoch !== '') return
    this.restart()
    opened()
  }
}
