/**
 * Finds out from the sequence numbers in the payloads whether a message is missing, came twice or
 * came out of order. It does not use the protocol, so it would notice if the protocol were wrong.
 */
export class Ledger {
  received = 0
  missing = 0
  doubled = 0
  disordered = 0
  #topics = new Map()

  /** @returns 'first', 'next', 'gap', 'disordered' or 'doubled' */
  record(topic, source, seq) {
    this.received += 1
    const sources = this.#topics.get(topic) ?? new Map()
    this.#topics.set(topic, sources)
    const known = sources.get(source)
    if (known === undefined) {
      sources.set(source, { last: seq, holes: [] })
      return 'first'
    }
    if (seq === known.last + 1) {
      known.last = seq
      return 'next'
    }
    if (seq > known.last) {
      known.holes.push({ from: known.last + 1, to: seq - 1 })
      this.missing += seq - known.last - 1
      known.last = seq
      return 'gap'
    }
    return this.#old(known, seq)
  }

  #old(known, seq) {
    const at = known.holes.findIndex(({ from, to }) => from <= seq && seq <= to)
    if (at < 0) {
      this.doubled += 1
      return 'doubled'
    }
    const { from, to } = known.holes[at]
    const rest = [
      { from, to: seq - 1 },
      { from: seq + 1, to },
    ]
    known.holes.splice(at, 1, ...rest.filter((hole) => hole.from <= hole.to))
    this.missing -= 1
    this.disordered += 1
    return 'disordered'
  }

  /** The page has subscribed to this topic anew, so its next message begins a new count. */
  forget(topic) {
    this.#topics.delete(topic)
  }

  /** A new client begins a new count in every topic. The totals stay. */
  forgetAll() {
    this.#topics.clear()
  }
}
