import type { Client } from '../delivery/client.js'
import { callbackError } from '../errors.js'
import type { Authorize } from '../options.js'
import type { AllowedSince } from '../allowance.js'
import { allowedSince } from '../allowance.js'
import type { Turnstile } from './turnstile.js'

/** Who came with a request, as `authorize` is told. */
export interface Visit {
  readonly principal: unknown
  /** The framework's request, or Node's. */
  readonly request: unknown
  /** The request as the middleware sees it, for its rules. Undefined with `streamer.handle`. */
  readonly context?: unknown
}

/**
 * An `authorize` of the middleware's.
 *
 * @param principal Who asked for the topic, if the visit's request has no user.
 */
export type Rule = (topic: string, visit: Visit, principal: unknown) => Promise<AllowedSince>

/** How many topics of one client are asked for at once. */
const AT_ONCE = 8

/** Who may have which topic: asks the Streamer's `authorize`, and those of its middleware. */
export class Rights {
  /** Rises when rights are looked at again: an answer from before may be out of date. */
  epoch = 0
  private readonly rules = new Map<string, Rule>()
  private readonly visits = new WeakMap<Client, Visit>()
  private readonly askers = new WeakMap<Client, unknown>()

  /** @param authorizing Bounds how many calls of `authorize` run at once. */
  constructor(
    private readonly authorize: Authorize | undefined,
    private readonly authorizing: Turnstile,
  ) {}

  /** Whether there is anything to ask. */
  get asks(): boolean {
    return this.authorize !== undefined || this.rules.size > 0
  }

  /** Whether the Streamer has an `authorize` of its own. */
  get own(): boolean {
    return this.authorize !== undefined
  }

  /**
   * Adds a middleware's `authorize`, which is asked again for the topics that it has allowed.
   *
   * @param kind The middleware's name.
   * @returns the rule's name. On servers that make their middleware in the same order it is the same.
   */
  addRule(kind: string, rule: Rule): string {
    let count = 1
    while (this.rules.has(`${kind}-${count}`)) count++
    this.rules.set(`${kind}-${count}`, rule)
    return `${kind}-${count}`
  }

  /** A client opens a stream with this request. */
  came(client: Client, visit: Visit): void {
    this.visits.set(client, visit)
  }

  /** A request of this user's has added topics to the client. */
  asked(client: Client, principal: unknown): void {
    if (principal !== undefined) this.askers.set(client, principal)
  }

  /** Who the client came with last, or undefined where this server has not seen it. */
  visitOf(client: Client): Visit | undefined {
    return this.visits.get(client)
  }

  /**
   * Whether the Streamer's own `authorize` allows a topic, and since when.
   *
   * @throws CallbackError, or what it throws that is meant for the client
   */
  async allows(client: Client | undefined, topic: string, visit: Visit): Promise<AllowedSince> {
    const { authorize } = this
    if (authorize === undefined) return -Infinity
    const of = client && { id: client.id, owner: client.owner }
    try {
      const answer = await this.authorizing.run(() =>
        authorize(visit.principal, topic, { client: of, request: visit.request }),
      )
      return allowedSince(answer)
    } catch (error) {
      throw callbackError('authorize', error)
    }
  }

  /** The client's topics that it may not have. @param but Topics that are not asked for. */
  async forbidden(client: Client, visit: Visit, but: readonly string[] = []): Promise<string[]> {
    const memberships = [...client.memberships].filter(({ topic }) => !but.includes(topic.name))
    const forbidden: string[] = []
    await inTurns(memberships, AT_ONCE, async ({ topic: { name }, grant }) => {
      const allowed =
        (await this.allows(client, name, visit)) !== false &&
        (grant?.rule === undefined || (await this.stillGiven(client, name, visit, grant.rule)))
      if (!allowed) forbidden.push(name)
    })
    return forbidden
  }

  /** Whether the middleware's `authorize` that allowed a topic still does. */
  private async stillGiven(
    client: Client,
    topic: string,
    visit: Visit,
    name: string,
  ): Promise<boolean> {
    if (visit.context === undefined) return true
    const rule = this.rules.get(name)
    // Another server's middleware allowed it: what one of ours would allow may stay.
    const rules = rule === undefined ? [...this.rules.values()] : [rule]
    for (const one of rules) {
      if ((await one(topic, visit, this.askers.get(client))) !== false) return true
    }
    return rules.length === 0
  }
}

/** Calls a function for all items, for a number of them at once. Rejects with the first error. */
export async function inTurns<T>(
  items: readonly T[],
  atOnce: number,
  run: (item: T) => Promise<void>,
): Promise<void> {
  const left = items.values()
  const worker = async () => {
    for (const item of left) await run(item)
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker))
}
