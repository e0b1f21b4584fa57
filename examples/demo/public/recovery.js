/** Messages that are younger than this when the connection is back count as live, in ms. */
const SLACK = 60
/** Catching up has ended when nothing has arrived for this time, in ms. */
const QUIET = 1_500

/**
 * Tells messages that are caught up after an interruption from live ones, by the time at which the
 * server published them. Reports the sum when catching up has ended.
 */
export class Recovery {
  #ledger
  #onDone
  #skew = Infinity
  #outage = undefined
  #timer = 0

  constructor({ ledger, onDone }) {
    this.#ledger = ledger
    this.#onDone = onDone
  }

  /** The difference to the server's clock: the least one seen, which had the least delay. */
  clock(serverTime) {
    this.#skew = Math.min(this.#skew, Date.now() - serverTime)
    return serverTime + this.#skew
  }

  get since() {
    return this.#outage && !this.#outage.to ? this.#outage.from : undefined
  }

  down() {
    if (this.#outage) {
      // Cut again while catching up: counts as one interruption.
      clearTimeout(this.#timer)
      this.#outage.to = undefined
      return
    }
    const { missing, doubled, disordered } = this.#ledger
    this.#outage = { from: Date.now(), to: undefined, caughtUp: 0, missing, doubled, disordered }
  }

  up() {
    if (!this.#outage) return
    this.#outage.to = Date.now()
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#done(), QUIET)
  }

  /** @returns whether a message that was published at this time is caught up. */
  arrived(published) {
    const outage = this.#outage
    if (!outage?.to) return false
    if (published < outage.to - SLACK) {
      outage.caughtUp += 1
      return true
    }
    // Messages come in order, so the first live one ends catching up.
    this.#done()
    return false
  }

  /** The client has expired, so what it missed can't be caught up. */
  abandon() {
    clearTimeout(this.#timer)
    const outage = this.#outage
    this.#outage = undefined
    return outage
  }

  #done() {
    const outage = this.abandon()
    if (!outage) return
    this.#onDone({
      seconds: (outage.to - outage.from) / 1_000,
      caughtUp: outage.caughtUp,
      missing: this.#ledger.missing - outage.missing,
      doubled: this.#ledger.doubled - outage.doubled,
      disordered: this.#ledger.disordered - outage.disordered,
    })
  }
}
