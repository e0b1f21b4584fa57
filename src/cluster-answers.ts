import type { Client } from './client.js'
import type { Cluster } from './cluster.js'
import type { Answer, Count, Question } from './cluster-messages.js'
import { errorAnswer, readQuestion, writeAnswer } from './cluster-messages.js'
import { MovedError } from './holdings.js'
import { countHere } from './local-calls.js'
import type { SubscribeOptions } from './subscriptions.js'

const DONE: Answer = { is: 'done' }
const ELSEWHERE: Answer = { is: 'elsewhere' }

/** What is done to the clients of this server, whoever asks for it: here, or on another server. */
export class ClusterAnswers {
  constructor(private readonly cluster: Cluster) {}

  /** Answers another server. Never rejects. */
  async to(message: string): Promise<string> {
    let answer: Answer
    try {
      const question = readQuestion(message)
      if (question === undefined) throw new Error('This server does not know what it was asked.')
      answer = await this.answer(question)
    } catch (error) {
      answer = error instanceof MovedError ? ELSEWHERE : errorAnswer(error)
    }
    return writeAnswer(answer)
  }

  /**
   * Subscribes a client of this server. Resolves when that is in the directory, too.
   *
   * @throws MovedError where another server has the client; else it is as it was.
   */
  async subscribe(client: Client, topic: string, options: SubscribeOptions): Promise<void> {
    const { parts, holdings } = this.cluster
    const had = client.memberships.has(topic)
    await parts.subscriptions.subscribe(client, topic, options)
    const holding = holdings.of(client)
    if (holding === undefined) {
      if (client.end === 'moved') throw new MovedError()
      return
    }
    if (had && holdings.isWritten(holding)) return
    try {
      await holdings.save(holding)
    } catch (error) {
      if (!had && !(error instanceof MovedError)) parts.subscriptions.unsubscribe(client, topic)
      throw error
    }
  }

  /** Where the engine is away, it is written when it is back. @throws MovedError */
  async unsubscribe(client: Client, topic: string): Promise<void> {
    const { parts, holdings } = this.cluster
    parts.subscriptions.unsubscribe(client, topic)
    const holding = holdings.of(client)
    if (holding !== undefined) await holdings.save(holding).catch(unlessMoved)
  }

  async remove(client: Client, end: 'removed' | 'revoked'): Promise<void> {
    this.cluster.parts.clients.remove(client, end)
    await this.cluster.ended(client)
  }

  async revoke(owner: string): Promise<number> {
    const clients = this.cluster.parts.clients.roster.of(owner)
    await Promise.all(clients.map((client) => this.remove(client, 'revoked')))
    return clients.length
  }

  count(of: { topic?: string; owner?: string }): Count {
    const { clients, subscriptions } = this.cluster.parts
    return countHere(clients, subscriptions, of)
  }

  private async answer(question: Question): Promise<Answer> {
    if (question.ask === 'count') return { is: 'done', value: this.count(question) }
    if (question.ask === 'revoke') return { is: 'done', value: await this.revoke(question.owner) }
    const client = this.cluster.parts.clients.roster.get(question.id)
    const holding = client && this.cluster.holdings.of(client)
    if (client === undefined || holding === undefined) return ELSEWHERE
    switch (question.ask) {
      case 'release':
        // One that we have from a later generation on was taken from the asker meanwhile.
        if (holding.generation >= question.generation) return ELSEWHERE
        return { is: 'done', value: { position: this.letGo(client, question.stream) } }
      case 'subscribe':
        await holding.ready
        await this.subscribe(client, question.topic, question.options)
        return DONE
      case 'unsubscribe':
        await holding.ready
        await this.unsubscribe(client, question.topic)
        return DONE
      case 'remove':
        await this.remove(client, question.end)
        return DONE
    }
  }

  private letGo(client: Client, stream: boolean): string {
    const { parts, holdings } = this.cluster
    parts.delivery.flush()
    const position = this.cluster.positionOf(client)
    holdings.drop(holdings.of(client)!)
    parts.clients.dismiss(client, 'moved', stream)
    return position
  }
}

/** That it is not written yet is seen to; that the client has gone is for the caller. */
function unlessMoved(error: unknown): void {
  if (error instanceof MovedError) throw error
}
