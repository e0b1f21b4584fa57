import type { Clock } from '../clock.js'

/** So many users are remembered. Beyond it, who was refused longest ago is forgotten. */
const MOST_USERS = 10_000
/** So many topics of one user. Beyond it, all topics count as refused. */
const MOST_TOPICS = 64

/** One user's refusals. */
interface Refused {
  /** The newest number when a topic was refused, by topic. */
  readonly topics: Map<string, number>
  /** The same for all topics, where there were too many. */
  all: number
  /** When it was last, by the clock. */
  at: number
}

/** Whose topics these are: an owner's, or, of clients without, those of a network address. */
export interface Whose {
  readonly owner: string | undefined
  readonly address: string | undefined
}

/**
 * Who was refused which topic, or lost it. Who may have it again by now gets nothing of the time
 * between, though an older position would say so.
 *
 * An example: alice loses `room` when the newest message is 7. She may have it again, and comes back at
 * position 5: of `room` she is told that messages are missing, and gets what follows from then on.
 */
export class Refusals {
  private readonly users = new Map<string, Refused>()

  /** @param life How long a position from before a refusal could still be named, in milliseconds. */
  constructor(
    private readonly clock: Clock,
    private readonly life: number,
  ) {}

  note(whose: Whose, topic: string, newest: number): void {
    const user = nameOf(whose)
    if (user === undefined) return
    const refused = this.users.get(user) ?? { topics: new Map<string, number>(), all: -1, at: 0 }
    if (refused.topics.size >= MOST_TOPICS && !refused.topics.has(topic)) {
      refused.all = newest
      refused.topics.clear()
    }
    refused.topics.set(topic, newest)
    refused.at = this.clock.now()
    // In the order of their last refusals.
    this.users.delete(user)
    this.users.set(user, refused)
    this.forget()
  }

  /** Whether a topic was refused since a position with this number. */
  since(whose: Whose, topic: string, number: number): boolean {
    const user = nameOf(whose)
    const refused = user === undefined ? undefined : this.users.get(user)
    if (refused === undefined) return false
    return number <= Math.max(refused.all, refused.topics.get(topic) ?? -1)
  }

  private forget(): void {
    const before = this.clock.now() - this.life
    for (const [user, { at }] of this.users) {
      if (at >= before && this.users.size <= MOST_USERS) return
      this.users.delete(user)
    }
  }
}

function nameOf({ owner, address }: Whose): string | undefined {
  if (owner !== undefined) return `owner ${owner}`
  return address === undefined ? undefined : `address ${address}`
}
