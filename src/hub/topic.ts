import type { Subscription } from '../driver.js'

/** A topic that the hub has open on the broker, for one worker or more. */
export class HubTopic {
  /** How many workers have it open. */
  users = 0
  /** The newest of its entries that the history let go. */
  evictedThrough = 0
  /** The log's last number when it was opened: what was published before was not read. */
  openedAt = Infinity
  /** Settles when the broker has opened it, or has refused it. */
  opening: Promise<void> | undefined
  subscription: Subscription | undefined
  lingering: NodeJS.Timeout | undefined
  isOver = false

  constructor(
    readonly id: number,
    readonly name: string,
  ) {}

  /** After which number a reader that has everything through `number` has missed nothing. */
  lostAfter(number: number): number {
    const opened = number < this.openedAt ? this.openedAt : 0
    const evicted = number < this.evictedThrough ? this.evictedThrough : 0
    return Math.max(opened, evicted)
  }
}
