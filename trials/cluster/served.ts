import { until } from '../../test/support/until.js'
import type { Fleet } from './fleet.js'

/** How often the servers are asked, in milliseconds. */
const TICK = 100

/** Asks all servers again and again whom they serve, and writes down who is served by two. */
export class Served {
  /** The longest time for which any client was, in milliseconds. */
  longest = 0
  private readonly since = new Map<string, number>()
  private timer: NodeJS.Timeout | undefined
  private looking: Promise<void> | undefined

  constructor(private readonly fleet: Fleet) {}

  begin(): void {
    this.timer = setInterval(() => {
      this.looking ??= this.look().finally(() => (this.looking = undefined))
    }, TICK)
  }

  /** Gives what is still going on a moment to end. @returns how many are served twice even then */
  async end(): Promise<number> {
    await until('nobody to be served twice', () => this.since.size === 0, 3_000).catch(() => false)
    clearInterval(this.timer)
    await this.looking
    return this.since.size
  }

  private async look(): Promise<void> {
    const asked = this.fleet.servers.map((_, index) => this.fleet.ask(index, { do: 'report' }, 300))
    // Who does not answer is frozen or dead, and serves nobody.
    const answers = await Promise.all(asked)
    const counts = new Map<string, number>()
    for (const answer of answers) {
      for (const id of answer?.serving ?? []) counts.set(id, (counts.get(id) ?? 0) + 1)
    }
    const now = performance.now()
    for (const id of [...this.since.keys()]) if ((counts.get(id) ?? 0) < 2) this.since.delete(id)
    for (const [id, count] of counts) {
      if (count < 2) continue
      const since = this.since.get(id) ?? now
      this.since.set(id, since)
      this.longest = Math.max(this.longest, now - since)
    }
  }
}
