import type { Calls, FoundClient, OwnerCheck, Presence } from './calls.js'
import type { Client } from './client.js'
import type { Cluster } from './cluster.js'
import { ClusterAnswers } from './cluster-answers.js'
import type { Count, Question } from './cluster-messages.js'
import { readAnswer, revived, writeQuestion } from './cluster-messages.js'
import type { Stored } from './directory.js'
import { DirectoryUnavailableError, ServerSilentError } from './errors.js'
import { MOST_TRIES, MovedError } from './holdings.js'
import type { ClientRecord } from './record.js'
import { checkTopicName } from './names.js'
import { checkOptions } from './subscriptions.js'
import type { SubscribeOptions } from './subscriptions.js'

/** How long another server may take to subscribe a client, which its broker has to answer. */
const SUBSCRIBE_TIMEOUT = 10_000

/** What can be asked of any server about any client. */
export class ClusterCalls implements Calls {
  private readonly here: ClusterAnswers

  constructor(private readonly cluster: Cluster) {
    this.here = new ClusterAnswers(cluster)
  }

  create(id: string, owner: string | undefined): Promise<Client> {
    return this.cluster.create(id, owner)
  }

  claim(id: string, check: OwnerCheck): Promise<Client> {
    return this.cluster.claim(id, check)
  }

  async subscribe(id: string, topic: string, options: SubscribeOptions): Promise<void> {
    checkTopicName(topic, this.cluster.parts.settings.maxTopicLength)
    checkOptions(options)
    await this.onHolder({ ask: 'subscribe', id, topic, options }, (client) =>
      this.here.subscribe(client, topic, options),
    )
  }

  async unsubscribe(id: string, topic: string): Promise<void> {
    await this.onHolder({ ask: 'unsubscribe', id, topic }, (client) =>
      this.here.unsubscribe(client, topic),
    )
  }

  async remove(id: string, end: 'removed' | 'revoked' = 'removed'): Promise<void> {
    await this.onHolder(
      { ask: 'remove', id, end },
      (client) => this.here.remove(client, end),
      ({ owner }, { revision }) => this.cluster.directory.delete({ id, owner }, revision),
    )
  }

  async revoke(owner: string): Promise<number> {
    const { directory, server, parts } = this.cluster
    let count = 0
    if (parts.clients.roster.get(owner) ?? (await this.cluster.peek(owner))) {
      await this.remove(owner, 'revoked')
      count++
    }
    count += await this.here.revoke(owner)
    const asked = await this.ofAll({ ask: 'revoke', owner }, SUBSCRIBE_TIMEOUT)
    for (const value of asked.values) count += value as number
    // Those of servers that are no more, and those that were on their way meanwhile.
    for (const id of await directory.idsOf(owner)) {
      const found = await this.cluster.peek(id)
      if (found?.record.owner !== owner) continue
      const { record, stored } = found
      if (asked.silent.includes(record.server)) continue
      if (record.server === server || !asked.servers.includes(record.server)) {
        if (await directory.delete({ id, owner }, stored.revision)) count++
      } else {
        await this.remove(id, 'revoked')
        count++
      }
    }
    if (asked.silent.length > 0) throw new ServerSilentError(asked.silent.join(', '))
    return count
  }

  async find(id: string): Promise<FoundClient | undefined> {
    const { directory, server: ours, parts } = this.cluster
    const client = parts.clients.roster.get(id)
    if (client !== undefined) {
      const { owner, connected, topics } = client
      return { id, owner, connected, topics, server: ours }
    }
    const found = await this.cluster.peek(id)
    if (found === undefined) return undefined
    const { owner, server, topics } = found.record
    const connected = found.record.connected && (await directory.servers()).includes(server)
    return { id, owner, connected, topics: [...topics.keys()], server }
  }

  async count(of: { topic?: string; owner?: string }): Promise<Presence> {
    const { takeoverTimeout } = this.cluster.parts.settings
    const { values, silent } = await this.ofAll({ ask: 'count', ...of }, takeoverTimeout)
    const sum = { ...this.here.count(of), silent }
    for (const value of values) {
      const { clients, connected } = value as Count
      sum.clients += clients
      sum.connected += connected
    }
    return sum
  }

  /**
   * Has something done by the server that has the client. Where that one is no more, the client is
   * taken over here first, without a stream, unless `orphaned` does without.
   */
  private async onHolder(
    question: Question & { id: string },
    here: (client: Client) => Promise<void>,
    orphaned?: (record: ClientRecord, stored: Stored) => Promise<boolean>,
  ): Promise<void> {
    const { cluster } = this
    const { id, ask } = question
    let answeredElsewhere: string | undefined
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      await cluster.settledAdoption(id)
      const client = cluster.parts.clients.roster.get(id)
      if (client !== undefined) {
        await cluster.holdings.of(client)?.ready
        if (await staysHere(here(client))) return
        continue
      }
      const { record, stored } = await cluster.recordOf(id)
      if (record.server !== cluster.server && answeredElsewhere !== stored.revision) {
        const { takeoverTimeout } = cluster.parts.settings
        const timeout = ask === 'subscribe' ? SUBSCRIBE_TIMEOUT : takeoverTimeout
        const outcome = await cluster.directory.ask(record.server, writeQuestion(question), timeout)
        if (typeof outcome === 'object') {
          const answer = readAnswer(outcome.answer)
          if (answer.is === 'done') return
          if (answer.is === 'error') throw revived(record.server, answer.error)
          // It is just moving; or that server has lost it, if it says so again.
          answeredElsewhere = stored.revision
          continue
        }
        const servers = await cluster.directory.servers()
        if (servers.includes(record.server)) throw new ServerSilentError(record.server)
      }
      if (orphaned === undefined) await cluster.adopt(id, () => undefined, false)
      else if (await orphaned(record, stored)) return
    }
    throw new DirectoryUnavailableError(new Error('The client moves from server to server.'))
  }

  private async ofAll(
    question: Question,
    timeout: number,
  ): Promise<{ servers: string[]; values: unknown[]; silent: string[] }> {
    const { directory, server: ours } = this.cluster
    const message = writeQuestion(question)
    const values: unknown[] = []
    const silent: string[] = []
    const servers = (await directory.servers()).filter((server) => server !== ours)
    await Promise.all(
      servers.map(async (server) => {
        const outcome = await directory.ask(server, message, timeout)
        const answer = typeof outcome === 'object' ? readAnswer(outcome.answer) : undefined
        if (answer?.is === 'done') values.push(answer.value)
        else silent.push(server)
      }),
    )
    return { servers, values, silent }
  }
}

async function staysHere(done: Promise<void>): Promise<boolean> {
  try {
    await done
    return true
  } catch (error) {
    if (error instanceof MovedError) return false
    throw error
  }
}
