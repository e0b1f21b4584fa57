import type { Client } from '../delivery/client.js'
import type { Grant } from '../delivery/membership.js'
import type { Payload } from '../driver.js'
import { AuthenticationError } from '../errors.js'
import type { AllowedSince } from '../allowance.js'
import type { Clients } from './clients.js'
import type { ClientRecords, LocalCommands } from './local-commands.js'
import type { Rights, Visit } from './rights.js'
import type { Selector, Which } from './selector.js'
import { inTurns } from './rights.js'
import type { Subscriptions } from './subscriptions.js'

/** Which clients are meant: all, where it names none. See {@link Which}. */
export type WhichClients = Which | Readonly<Record<string, never>>

/** What `recheck` did. */
export interface Rechecked {
  /** How many clients were asked for. */
  clients: number
  /** How many topics were taken from them. */
  withdrawn: number
  /** The servers that have not answered yet. */
  pending: string[]
}

/** What `reconnect` did. */
export interface Reconnected {
  /** How many streams were ended. */
  ended: number
  /** The servers that have not answered. */
  pending: string[]
}

/** Looks again at what clients may have. */
export interface RightsCommands {
  /** See `Streamer.recheck`. */
  recheck(which: Selector | undefined): Promise<Rechecked>
  /** See `Streamer.reconnect`. */
  reconnect(which: Selector | undefined): Promise<Reconnected>
}

/** Loads the state of a topic for who sent a request; undefined where it has none. */
export type Snapshots = (topic: string) => Promise<Payload | undefined>

/** The topics that a request of `autoClient` is to have. They have been asked for. */
export interface Plan {
  readonly wanted: readonly string[]
  /** Topics that it named, and may not have. */
  readonly forbidden: readonly string[]
  readonly grant: Grant
  /** Since when each of `wanted` is allowed, in their order. */
  readonly allowed?: readonly AllowedSince[] | undefined
  /** Loads the state of a topic that the client is subscribed to. */
  readonly snapshots?: Snapshots | undefined
  /** {@link Rights.epoch} when they were asked for. */
  readonly epoch: number
}

/** How many clients are looked at at once. */
const AT_ONCE = 16

/** Looks again at what this server's clients may have. */
export class Rechecks implements RightsCommands {
  constructor(
    private readonly rights: Rights,
    private readonly here: LocalCommands,
    private readonly clients: Clients,
    private readonly subscriptions: Subscriptions,
    private readonly records?: ClientRecords,
  ) {}

  /**
   * A client is about to get a stream. It gets the topics of the request's plan, if there is one, and
   * what it may not have any more is taken from it.
   *
   * @throws what `authorize` throws, and the errors of `Streamer.subscribe`
   */
  async enter(client: Client, visit: Visit, plan?: Plan): Promise<void> {
    this.rights.came(client, visit)
    if (plan !== undefined) await this.follow(client, plan)
    const stillTrue = plan !== undefined && plan.epoch === this.rights.epoch
    if (this.rights.asks) await this.look(client, visit, stillTrue ? plan.wanted : [])
  }

  /**
   * Looks again at all topics of clients. A client that has never had a stream here is left out: its
   * topics are asked for when it comes.
   *
   * @returns how many clients and topics, on this server.
   * @throws CallbackError when all other clients have been looked at
   */
  async recheck(which: Selector | undefined): Promise<Rechecked> {
    this.rights.epoch++
    const clients = this.clients.revocations.select(which)
    const errors: unknown[] = []
    let withdrawn = 0
    await inTurns(clients, AT_ONCE, async (client) => {
      try {
        withdrawn += await this.once(client)
      } catch (error) {
        errors.push(error)
      }
    })
    if (errors.length > 0) throw errors[0]
    return { clients: clients.length, withdrawn, pending: [] }
  }

  /** Ends streams, whose clients come again. */
  async reconnect(which: Selector | undefined): Promise<Reconnected> {
    const clients = this.clients.revocations.select(which)
    const ended = clients.filter((client) => this.clients.sendBack(client)).length
    return { ended, pending: [] }
  }

  /**
   * Looks again at one client's topics. The stream of a user whose log-in is over ends.
   *
   * @returns how many topics were taken from it.
   * @throws CallbackError
   */
  async once(client: Client): Promise<number> {
    const visit = this.rights.visitOf(client)
    if (visit === undefined || !this.rights.asks) return 0
    try {
      return await this.look(client, visit)
    } catch (error) {
      if (!(error instanceof AuthenticationError)) throw error
      // The user may have come again meanwhile, with another log-in.
      if (this.rights.visitOf(client) === visit) this.clients.expireStream(client)
      return 0
    }
  }

  private async look(client: Client, visit: Visit, but?: readonly string[]): Promise<number> {
    const forbidden = await this.rights.forbidden(client, visit, but)
    for (const topic of forbidden) await this.withdraw(client, topic)
    return forbidden.length
  }

  private async withdraw(client: Client, topic: string): Promise<void> {
    if (client.end !== undefined) return
    this.subscriptions.withdraw(client, topic)
    // Where it can't be written, it is written later.
    await this.records?.save(client).catch((error: unknown) => void error)
  }

  private async follow(
    client: Client,
    { wanted, forbidden, grant, snapshots }: Plan,
  ): Promise<void> {
    for (const topic of forbidden) await this.withdraw(client, topic)
    for (const { topic, grant: earlier } of [...client.memberships]) {
      const replaced = earlier?.how === 'named' || earlier?.how === 'given'
      if (replaced && !wanted.includes(topic.name)) {
        await this.here.unsubscribe(client.id, topic.name)
      }
    }
    const lacking = wanted.filter((topic) => client.membership(topic) === undefined)
    await Promise.all(
      lacking.map((topic) => {
        const snapshot = snapshots && (() => snapshots(topic))
        return this.here.subscribe(client.id, topic, { grant, snapshot })
      }),
    )
  }
}
