import type { Client } from '../delivery/client.js'
import { NoClientError } from '../errors.js'
import type { LocalCommands } from '../service/local-commands.js'
import { MovedError } from '../service/local-commands.js'
import { isGrant } from '../delivery/membership.js'
import type { Each } from '../service/commands.js'
import type { Rechecks } from '../service/rechecks.js'
import type { JoinOptions } from '../service/subscriptions.js'
import type { ClientLease } from './client-lease.js'
import type { Answer, Question } from './protocol.js'
import type { Removals } from './removals.js'
import { Tally } from './tally.js'
import { errorAnswer, readQuestion, writeAnswer, written } from './protocol.js'

const ELSEWHERE: Answer = { is: 'elsewhere' }

/** Another server's options. A grant that this version does not know is an added topic's. */
function readOptions(options: JoinOptions): JoinOptions {
  const { grant } = options
  return grant === undefined || isGrant(grant) ? options : { ...options, grant: { how: 'added' } }
}

function readEach(what: Each): Each {
  return what.do === 'subscribe' ? { ...what, options: readOptions(what.options) } : what
}

/** What `ClusterAnswers` needs of this server. */
export interface AnswersHost {
  /** The lease of a client that is on this server, or undefined. */
  leaseOf(id: string): ClientLease | undefined
  /**
   * Removes a client from this server, since another server has taken it.
   *
   * @param replaced Whether the client has a stream at that server.
   * @returns the client's position.
   */
  letGo(client: Client, replaced: boolean): string
}

/** Answers the questions of other servers. */
export class ClusterAnswers {
  constructor(
    private readonly here: LocalCommands,
    private readonly removals: Removals,
    private readonly rechecks: Rechecks,
    private readonly host: AnswersHost,
  ) {}

  /** The answer to a question. Never rejects. */
  async to(message: string): Promise<string> {
    let answer: Answer
    try {
      answer = await this.answer(readQuestion(message))
    } catch (error) {
      const gone = error instanceof MovedError || error instanceof NoClientError
      answer = gone ? ELSEWHERE : errorAnswer(error)
    }
    return writeAnswer(answer)
  }

  private async answer(question: Question): Promise<Answer> {
    if (question.ask === 'count') return { is: 'done', value: this.here.countHere(question) }
    if (question.ask === 'recheck') {
      return { is: 'done', value: await this.rechecks.recheck(question.which) }
    }
    if (question.ask === 'reconnect') {
      return { is: 'done', value: await this.rechecks.reconnect(question.which) }
    }
    if (question.ask === 'list') {
      return { is: 'done', value: await this.here.list(question.which) }
    }
    if (question.ask === 'each') {
      const { error, ...done } = await this.here.eachHere(question.which, readEach(question.what))
      return {
        is: 'done',
        value: { ...done, ...(error !== undefined && { error: written(error) }) },
      }
    }
    if (question.ask === 'revoke' || question.ask === 'remove') return this.end(question)
    const { id } = question
    const lease = this.host.leaseOf(id)
    if (lease === undefined) return ELSEWHERE
    switch (question.ask) {
      case 'release':
        // This server has the higher generation: it took the client from the server that asks.
        if (lease.generation >= question.generation) return ELSEWHERE
        return { is: 'done', value: { position: this.host.letGo(lease.client, question.stream) } }
      case 'subscribe':
        await lease.ready
        return {
          is: 'done',
          value: await this.here.subscribe(id, question.topic, readOptions(question.options)),
        }
      case 'unsubscribe':
        await lease.ready
        return { is: 'done', value: await this.here.unsubscribe(id, question.topic) }
    }
  }

  private async end(question: Question & { ask: 'revoke' | 'remove' }): Promise<Answer> {
    const tally = new Tally()
    if (question.ask === 'revoke') await this.removals.revokeHere(question.revocation, tally)
    else await this.removals.removeHere(question.id, question.end, tally)
    const { endedIds: ended, pending } = tally
    return { is: 'done', value: { ended, pending } }
  }
}
