/** What a client has got of one topic. */
interface Account {
  /** The highest number received, or undefined for a client that came in the middle. */
  last: number | undefined
  /** Whether it was told, after `last`, that something is missing here. */
  told: boolean
  /** What was jumped over: if it comes after all, it is out of order and not a double. */
  holes: [from: number, through: number][]
}

/** What has gone wrong, as a word for the figures. */
export type Violation = 'silent' | 'double' | 'disorder' | 'tail' | 'other'

/** How many violations are kept in words; all are counted. */
const MOST_WORDS = 20

/**
 * Writes down, per client and topic, what arrives, and compares it with what the promise says:
 * each number follows the one before it, or the client was told between the two.
 */
export class SequenceLedger {
  received = 0
  /** How often a client was told `messages-lost`. */
  told = 0
  /** Messages missing of which a client was told. */
  missing = 0
  failures = 0
  readonly violations: Record<Violation, number> = {
    silent: 0,
    double: 0,
    disorder: 0,
    tail: 0,
    other: 0,
  }
  readonly words: string[] = []
  /** Messages that the broker has never confirmed: they may be missing, or come late. */
  private readonly doubtful = new Map<string, Set<number>>()
  private readonly accounts = new Map<string, Map<string, Account>>()

  /** It is not known whether the broker has this one. */
  doubt(topic: string, number: number): void {
    const numbers = this.doubtful.get(topic) ?? new Set()
    this.doubtful.set(topic, numbers.add(number))
  }

  /** A client begins anew. With `from`, it must get everything after that number. */
  open(client: string, topics: readonly string[], from?: number): void {
    const fresh = () => ({ last: from, told: false, holes: [] })
    this.accounts.set(client, new Map(topics.map((topic) => [topic, fresh()])))
  }

  /** A client takes one more topic, of which nothing has been published yet. */
  join(client: string, topic: string): void {
    this.accounts.get(client)?.set(topic, { last: 0, told: false, holes: [] })
  }

  close(client: string): void {
    this.accounts.delete(client)
  }

  message(client: string, topic: string, number: number): void {
    this.received++
    const account = this.accounts.get(client)?.get(topic)
    if (account === undefined) {
      return this.violation('other', `${client} got ${topic}, which it never asked for`)
    }
    const { last } = account
    if (last !== undefined && number <= last) return this.late(client, topic, account, number)
    if (last !== undefined && number > last + 1) {
      const count = this.sureBetween(topic, last, number)
      account.holes.push([last + 1, number - 1])
      if (account.told) this.missing += count
      else if (count > 0)
        this.violation('silent', `${client} ${topic}: ${number} after ${last}`, count)
    }
    account.last = number
    account.told = false
  }

  /** The client was told that messages of a topic may be missing here. */
  lost(client: string, topic: string): void {
    this.told++
    this.mark(client, topic)
  }

  /** The client was told that its subscription is over. */
  failed(client: string, topic: string): void {
    this.failures++
    this.mark(client, topic)
  }

  violation(kind: Violation, words: string, count = 1): void {
    this.violations[kind] += count
    if (this.words.length < MOST_WORDS) this.words.push(`${kind}: ${words}`)
  }

  get totalViolations(): number {
    return Object.values(this.violations).reduce((sum, count) => sum + count, 0)
  }

  /** Who has not got the newest message of which topic. */
  behind(newest: ReadonlyMap<string, number>): string[] {
    const behind: string[] = []
    for (const [client, topics] of this.accounts) {
      for (const [topic, { last }] of topics) {
        const due = newest.get(topic) ?? 0
        if (due > 0 && (last ?? 0) < due) behind.push(`${client} ${topic}: ${last} of ${due}`)
      }
    }
    return behind
  }

  /** Whether a client has everything through these numbers and something beyond them. */
  has(client: string, through: ReadonlyMap<string, number>): boolean {
    const topics = [...(this.accounts.get(client) ?? [])]
    return topics.every(([topic, { last }]) => (last ?? 0) > (through.get(topic) ?? 0))
  }

  private mark(client: string, topic: string): void {
    const account = this.accounts.get(client)?.get(topic)
    if (account !== undefined) account.told = true
  }

  /** How many numbers between these two the broker has confirmed. */
  private sureBetween(topic: string, last: number, number: number): number {
    const doubtful = this.doubtful.get(topic)
    let count = 0
    for (let i = last + 1; i < number; i++) if (!doubtful?.has(i)) count++
    return count
  }

  private late(client: string, topic: string, account: Account, number: number): void {
    const wasMissing = account.holes.some(([from, through]) => number >= from && number <= through)
    // Then it came by another connection of the publisher's than what it was published before.
    if (wasMissing && this.doubtful.get(topic)?.has(number)) return
    const words = `${client} ${topic}: ${number} after ${account.last}`
    this.violation(wasMissing ? 'disorder' : 'double', words)
  }
}
