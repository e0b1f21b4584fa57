import type { Client } from '../delivery/client.js'
import { NoClientError, ServerSilentError } from '../errors.js'
import type {
  ClientCommands,
  Count,
  CountFilter,
  Each,
  FoundClient,
  NewRecord,
  OwnerCheck,
  Presence,
  Removal,
  Selected,
} from '../service/commands.js'
import type { Done, LocalCommands } from '../service/local-commands.js'
import { MovedError } from '../service/local-commands.js'
import { checkTopicName } from '../service/names.js'
import type { Rechecked, Reconnected, RightsCommands } from '../service/rechecks.js'
import type { Revocation } from '../service/revocations.js'
import type { Place } from '../service/places.js'
import type { Selector } from '../service/selector.js'
import type { JoinOptions } from '../service/subscriptions.js'
import { UNKNOWN_POSITION } from '../wire/position.js'
import type { Cluster } from './cluster.js'
import { MOST_TRIES } from './directory-writer.js'
import type { Question, WireError } from './protocol.js'
import { readAnswer, revived, writeQuestion } from './protocol.js'
import type { ClientRecord } from './record.js'
import { movesAllTheTime } from './take-over.js'

/** How long another server may take to subscribe a client, broker included, in milliseconds. */
const SUBSCRIBE_TIMEOUT = 10_000

/** What all other servers answered. */
interface Answers {
  servers: string[]
  values: { server: string; value: unknown }[]
  /** Those that have not answered. */
  silent: string[]
}

/** Commands on any client. The server that has the client carries them out. */
export class ClusterCommands implements ClientCommands, RightsCommands {
  private readonly here: LocalCommands

  constructor(private readonly cluster: Cluster) {
    this.here = cluster.here
  }

  create(whose: NewRecord, place: Place): Promise<Client> {
    return this.cluster.create(whose, place)
  }

  claim(id: string, check: OwnerCheck): Promise<Client> {
    return this.cluster.takeOvers.claim(id, check)
  }

  async subscribe(id: string, topic: string, options: JoinOptions): Promise<boolean> {
    const { maxTopicLength, infoEvent } = this.cluster.parts.settings
    checkTopicName(topic, maxTopicLength, infoEvent)
    const isNew = await this.onHolder(
      { ask: 'subscribe', id, topic, options: elsewhere(options) },
      () => this.here.subscribe(id, topic, options),
    )
    return isNew === true
  }

  async unsubscribe(id: string, topic: string): Promise<boolean> {
    const had = await this.onHolder({ ask: 'unsubscribe', id, topic }, () =>
      this.here.unsubscribe(id, topic),
    )
    return had === true
  }

  remove(id: string): Promise<Removal> {
    return this.cluster.removals.remove(id)
  }

  revoke(revocation: Revocation): Promise<Removal> {
    return this.cluster.removals.revoke(revocation)
  }

  async find(id: string): Promise<FoundClient | undefined> {
    const { directory, server: ours, takeOvers } = this.cluster
    const client = await this.here.find(id)
    if (client !== undefined) return { ...client, server: ours }
    const found = await takeOvers.peek(id)
    if (found === undefined) return undefined
    return foundIn(found.record, await directory.servers())
  }

  async list(which: Selector | undefined): Promise<FoundClient[]> {
    const { server: ours, takeOvers } = this.cluster
    const here = await this.here.list(which)
    const { values, servers, silent } = await this.askAll({ ask: 'list', which })
    if (silent[0] !== undefined) throw new ServerSilentError(silent[0])
    const there = values.flatMap(({ server, value }) =>
      (value as FoundClient[]).map((client) => ({ ...client, server })),
    )
    const all: FoundClient[] = [...there, ...here.map((client) => ({ ...client, server: ours }))]
    const listed = new Map(all.map((client) => [client.id, client]))
    // Those whose server has died, and which no other has taken over yet.
    for (const id of await this.recorded(which)) {
      const found = listed.has(id) ? undefined : await takeOvers.peek(id)
      if (found !== undefined) listed.set(id, foundIn(found.record, [ours, ...servers]))
    }
    return [...listed.values()]
  }

  async each(which: Selector, what: Each): Promise<Selected> {
    const done = new Set<string>()
    const silent = new Set<string>()
    let automatic = 0
    let failed: Error | undefined
    // A client that moves may be met on neither of its two servers. The second time it has moved.
    for (const round of [1, 2]) {
      const here = await this.here.eachHere(which, what)
      const timeout = what.do === 'subscribe' ? SUBSCRIBE_TIMEOUT : undefined
      const answers = await this.askAll({ ask: 'each', which, what }, timeout)
      const there = answers.values.map(({ server, value }) => {
        const { error, ...rest } = value as Done & { error?: WireError }
        return { ...rest, error: error && revived(server, error) }
      })
      for (const one of [here, ...there]) {
        for (const id of one.clients) done.add(id)
        if (round === 1) automatic += one.automatic
        failed ??= one.error
      }
      for (const server of answers.silent) silent.add(server)
    }
    for (const id of await this.recorded(which)) {
      if (done.has(id)) continue
      try {
        for (const topic of what.topics) {
          if (what.do === 'subscribe') await this.subscribe(id, topic, what.options)
          else await this.unsubscribe(id, topic)
        }
        done.add(id)
      } catch (error) {
        // It has gone, or its server is one of those that are silent.
        if (!(error instanceof NoClientError || error instanceof ServerSilentError))
          failed ??= error as Error
      }
    }
    if (failed !== undefined) throw failed
    return { clients: done.size, automatic, pending: [...silent] }
  }

  /** The ids that the directory has of those that are meant. It knows no labels. */
  private async recorded(which: Selector | undefined): Promise<string[]> {
    if (which?.name === 'id') return [which.value]
    return which?.name === 'owner' ? this.cluster.directory.idsOf(which.value) : []
  }

  async count(of: CountFilter): Promise<Presence> {
    const { values, silent } = await this.askAll({ ask: 'count', ...of })
    const sum = { ...this.here.countHere(of), silent }
    for (const { value } of values) {
      const { clients, connected, ids = [] } = value as Count
      sum.clients += clients
      sum.connected += connected
      sum.ids?.push(...ids)
    }
    return sum
  }

  async recheck(which: Selector | undefined): Promise<Rechecked> {
    const here = await this.cluster.rechecks.recheck(which)
    const { values, silent } = await this.askAll({ ask: 'recheck', which })
    const sum = { ...here, pending: silent }
    for (const { value } of values) {
      const { clients, withdrawn } = value as Rechecked
      sum.clients += clients
      sum.withdrawn += withdrawn
    }
    return sum
  }

  async reconnect(which: Selector | undefined): Promise<Reconnected> {
    const here = await this.cluster.rechecks.reconnect(which)
    const { values, silent } = await this.askAll({ ask: 'reconnect', which })
    const there = values.map(({ value }) => (value as Reconnected).ended)
    return { ended: there.reduce((sum, count) => sum + count, here.ended), pending: silent }
  }

  private askAll(
    question: Question,
    timeout = this.cluster.parts.settings.takeoverTimeout,
  ): Promise<Answers> {
    return this.ofAll(question, timeout)
  }

  /**
   * Has the server that has the client carry out a command. If that server has died, this one takes
   * the client over, without a stream, and carries the command out.
   *
   * @param here Carries the command out on this server.
   * @returns what the command gives, here or there.
   */
  private async onHolder(
    question: Question & { id: string },
    here: () => Promise<unknown>,
  ): Promise<unknown> {
    const { directory, parts, server: ours, takeOvers, writer } = this.cluster
    const { id, ask } = question
    let answeredElsewhere: string | undefined
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      await takeOvers.settled(id)
      const client = parts.clients.index.get(id)
      if (client !== undefined) {
        await writer.leaseOf(client)?.ready
        const done = await staysHere(here())
        if (done !== undefined) return done.value
        continue
      }
      const { record, stored } = await takeOvers.recordOf(id)
      if (record.server !== ours && answeredElsewhere !== stored.revision) {
        const { takeoverTimeout } = parts.settings
        const timeout = ask === 'subscribe' ? SUBSCRIBE_TIMEOUT : takeoverTimeout
        const outcome = await directory.ask(record.server, writeQuestion(question), timeout)
        if (typeof outcome === 'object') {
          const answer = readAnswer(outcome.answer)
          if (answer.is === 'done') return answer.value
          if (answer.is === 'error') throw revived(record.server, answer.error)
          // The client is moving: read its record again. If the revision is still this one, that
          // server has lost the client, and is not asked again.
          answeredElsewhere = stored.revision
          continue
        }
        if ((await directory.servers()).includes(record.server)) {
          throw new ServerSilentError(record.server)
        }
      }
      await takeOvers.takeOver(id, () => undefined, 'orphan')
    }
    throw movesAllTheTime()
  }

  /**
   * Asks all other servers.
   *
   * @returns the values of those that have done it, and the names of the others.
   */
  private async ofAll(question: Question, timeout: number): Promise<Answers> {
    const { directory, server: ours } = this.cluster
    const message = writeQuestion(question)
    const values: Answers['values'] = []
    const silent: string[] = []
    const servers = (await directory.servers()).filter((server) => server !== ours)
    await Promise.all(
      servers.map(async (server) => {
        const outcome = await directory.ask(server, message, timeout)
        const answer = typeof outcome === 'object' ? readAnswer(outcome.answer) : undefined
        if (answer?.is === 'done') values.push({ server, value: answer.value })
        else silent.push(server)
      }),
    )
    return { servers, values, silent }
  }
}

/** A client, by its record. */
function foundIn(record: ClientRecord, servers: readonly string[]): FoundClient {
  const { id, owner, labels, server, topics } = record
  const connected = record.connected && servers.includes(server)
  return { id, owner, labels, connected, topics: [...topics.keys()], server }
}

/** What a command gave here. Undefined if the client left this server meanwhile. */
async function staysHere(done: Promise<unknown>): Promise<{ value: unknown } | undefined> {
  try {
    return { value: await done }
  } catch (error) {
    if (error instanceof MovedError || error instanceof NoClientError) return undefined
    throw error
  }
}

/** How another server subscribes a client: it can't load a snapshot, so the client is told to load its data. */
function elsewhere({ snapshot, ...options }: JoinOptions): JoinOptions {
  if (snapshot === undefined) return options
  return { grant: options.grant, after: UNKNOWN_POSITION, goesOn: true }
}
