/** A connection, of which is known whether its browser has read all the time. */
interface Reader {
  readonly response: { readonly keptReading: boolean }
}

/** Something that reached a topic while the client was subscribed to it. */
interface Item {
  kind: 'message' | 'gap' | 'failure'
  /** Which message of the topic, where it is one. */
  number: number
  /** Whether the promise covers it. */
  owed: boolean
  /** The connection that took everything at once when it came, and so must have got it. */
  link: Reader | undefined
}

/** One subscription, from `subscribe` to `unsubscribe` or to the broker's failure. */
class Period {
  readonly items: Item[] = []
  /** Where the browser stands: everything before has arrived or was told to be missing. */
  next = 0
  /** Whether the browser was told, in this place, that something is missing. */
  told = false
  /** Whether it may be told so without anything missing. */
  mayBeTold = false
  /** Being told so is meant for everything before this. */
  doubtful = 0
  /** Whether `subscribe` has not resolved yet. */
  pending = true
  over = false
}

/**
 * What the promise owes one client in one topic, and what has come of it: the oracle.
 *
 * Numbers rise without doubles, and where an owed one is left out, a `messages-lost` (or a
 * `subscription-failure`) stands in its place. Where nothing is left out, none stands.
 */
export class Ledger {
  /** Where the browser was when it was told last, if that had no position of its own. */
  toldAt: string | undefined
  /**
   * Where the browser was when it was told last, until it has named a later position to the server
   * that told it. Until then that server has another one tell it again.
   */
  unconfirmed: string | undefined
  private readonly periods: Period[] = []
  /** The subscription whose messages the browser is reading. */
  private reading = 0

  constructor(private readonly name: string) {}

  /** Whether there is a subscription in force or being opened. */
  get subscribed(): boolean {
    return this.current !== undefined
  }

  private get current(): Period | undefined {
    const last = this.periods.at(-1)
    return last === undefined || last.over ? undefined : last
  }

  /**
   * `subscribe` was called. `past` is what the topic had before; the last `owed` of it are to come.
   *
   * @returns what to call when it has resolved, and when it has rejected.
   */
  begin(
    past: readonly Pick<Item, 'kind' | 'number'>[],
    mayBeTold: boolean,
    owed = 0,
  ): { opened(): void; refused(): void } {
    const period = new Period()
    for (const [i, { kind, number }] of past.entries()) {
      period.items.push({ kind, number, owed: i >= past.length - owed, link: undefined })
    }
    period.mayBeTold = mayBeTold
    this.periods.push(period)
    return {
      opened: () => (period.pending = false),
      refused: () => {
        period.over = true
        this.forgive()
      },
    }
  }

  /** The subscription ended at the client's wish or was not opened: nothing is owed any more. */
  end(): void {
    const { current } = this
    if (current !== undefined) current.over = true
    this.forgive()
  }

  /** Something reached the topic, while `link` kept up. */
  reached(kind: Item['kind'], number: number, link: Reader | undefined): void {
    const { current } = this
    if (current === undefined) return
    current.items.push({ kind, number, owed: !current.pending, link })
    if (kind === 'failure') current.over = true
  }

  /** What has reached the topic so far is no longer owed. */
  forgive(): void {
    for (const period of this.periods) {
      for (let i = period.next; i < period.items.length; i++) period.items[i]!.owed = false
    }
  }

  /** The browser named a position that says nothing, or the topic was closed meanwhile. */
  expectDoubt(): void {
    for (const period of this.periods.slice(this.reading)) {
      period.mayBeTold = true
      period.doubtful = period.items.length
    }
  }

  /** It may be told of a loss without one. */
  allow(): void {
    for (const period of this.periods.slice(this.reading)) period.mayBeTold = true
  }

  /** Another server goes on, which knows nothing of what was no message. */
  move(): void {
    // The former server does not know that the browser has got what it was told.
    if (this.unconfirmed !== undefined) this.allow()
    for (const { items } of this.periods) {
      for (const item of items) if (item.kind !== 'message') item.owed = false
    }
  }

  /** The browser got a message on this connection. */
  receive(number: number, link: Reader): void {
    const only = this.reading === this.periods.length - 1
    for (let k = this.reading; k < this.periods.length; k++) {
      const period = this.periods[k]!
      const index = period.items.findIndex(
        (item, i) => i >= period.next && item.kind === 'message' && item.number === number,
      )
      if (index < 0) continue
      for (; this.reading < k; this.reading++) this.settle(this.periods[this.reading]!, link, false)
      this.settle(period, link, only, index)
      period.next = index + 1
      period.told = false
      period.mayBeTold = false
      // A later subscription may have brought it, with its past: nobody can tell which it was.
      for (const later of this.periods.slice(k + 1)) {
        for (const item of later.items) {
          if (item.kind === 'message' && item.number === number) item.owed = false
        }
      }
      return
    }
    throw new Error(`${this.name}: message ${number} is a double, out of order or not its own.`)
  }

  /** The browser got `messages-lost` or `subscription-failure`. */
  tell(): void {
    if (this.periods.length === 0) throw new Error(`${this.name}: told of a topic it never had.`)
    for (const period of this.periods.slice(this.reading)) {
      period.told = true
      for (let i = period.next; i < period.doubtful; i++) period.items[i]!.owed = false
    }
  }

  /** The browser has got everything that the server has for it. */
  finish(link: Reader): void {
    const only = this.reading === this.periods.length - 1
    for (const period of this.periods.slice(this.reading)) this.settle(period, link, only)
  }

  /** `only`: nothing else can be meant by what the browser was told. */
  private settle(period: Period, link: Reader, only: boolean, end = period.items.length): void {
    const hole = period.items.slice(period.next, end)
    if (
      hole.some(
        (item) =>
          item.owed && item.kind === 'message' && item.link === link && link.response.keptReading,
      )
    ) {
      throw new Error(`${this.name}: let go before those who keep up were given it.`)
    }
    const missing = hole.find((item) => item.owed)
    if (missing !== undefined && !period.told) {
      const what = missing.kind === 'message' ? `message ${missing.number}` : missing.kind
      throw new Error(`${this.name}: ${what} is missing in silence.`)
    }
    if (only && period.told && hole.length === 0 && !period.mayBeTold) {
      throw new Error(`${this.name}: told of a loss where nothing was missing.`)
    }
    period.next = Math.max(period.next, end)
    period.told = false
  }
}
