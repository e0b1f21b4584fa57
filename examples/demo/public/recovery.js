/** Messages younger than this when the connection is back count as live. */
const SLACK = 60
/** When nothing arrives any more, catching up is over after this time. */
const QUIET = 1_500

/**
 * Tells what was caught up after an interruption from what arrives live, by the time at which
 * the server published it, and sums up when it is over.
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

  /** The server's clock, seen from here. The least difference met is the nearest. */
  clock(serverTime) {
    this.#skew = Math.min(this.#skew, Date.now() - serverTime)
    return serverTime + this.#skew
  }

  get since() {
    return this.#outage && !this.#outage.to ? this.#outage.from : undefined
  }

  down() {
    if (this.#outage) {
      // Cut again while catching up: to the page this is one interruption.
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

  /** @returns whether a message published at this time was caught up. */
  arrived(published) {
    const outage = this.#outage
    if (!outage?.to) return false
    if (published < outage.to - SLACK) {
      outage.caughtUp += 1
      return true
    }
    // Messages come in the order of their numbers: the first live one ends the rest.
    this.#done()
    return false
  }

  /** The client is gone, and with it the promise for what it had. */
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
