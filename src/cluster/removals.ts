import type { Timer } from '../clock.js'
import type { Client } from '../delivery/client.js'
import { DirectoryUnavailableError, NoClientError } from '../errors.js'
import type { Removal } from '../service/commands.js'
import type { Revocation } from '../service/revocations.js'
import type { Directory } from '../directory.js'
import type { Arrival, Arrivals } from './arrivals.js'
import type { DirectoryWriter, RecordEnd } from './directory-writer.js'
import { MOST_TRIES } from './directory-writer.js'
import { Notices } from './notices.js'
import type { ClusterParts } from './parts.js'
import type { Question } from './protocol.js'
import { readAnswer, writeQuestion } from './protocol.js'
import type { TakeOvers } from './take-over.js'
import { Tally } from './tally.js'

/** What stands for the directory among the names of servers, none of which is so short. */
const DIRECTORY = 'directory'
/** The time until a server that has not answered is asked again, in milliseconds. */
const AGAIN = 1_000
/** How long a server that had a client may still be writing to its record, in milliseconds. */
const RECENTLY = 60_000

type End = 'removed' | 'revoked'

/** What `Removals` needs of its server. */
export interface RemovalsHost {
  readonly server: string
  readonly directory: Directory
  readonly parts: ClusterParts
  readonly writer: DirectoryWriter
  readonly arrivals: Arrivals
  readonly takeOvers: TakeOvers
  readonly state: { directory: 'up' | 'down' }
  /** Settles with what became of a removed client's record. */
  ended(client: Client): Promise<RecordEnd>
}

/**
 * Removes clients, wherever they are.
 *
 * The record is deleted first, by compare-and-set, so that no server can take the client over any
 * more. Then the server that it named ends the stream. If the record has changed meanwhile, the
 * client has moved, and it is looked at again.
 *
 * A caller waits for at most `takeoverTimeout`. What is left then goes on, and is tried again until
 * it is done: a server that does not answer is asked again, and one that has lost its lease reads
 * the revocations in the directory when it is back.
 */
export class Removals {
  private readonly notices: Notices
  /** Questions that were not answered, by server and text. */
  private readonly owed = new Map<string, { server: string; question: Question; until: number }>()
  /** What is to be done again when the directory answers. */
  private readonly again = new Map<string, () => Promise<void>>()
  private asking: Timer | undefined
  private reading: Timer | undefined

  constructor(private readonly cluster: RemovalsHost) {
    this.notices = new Notices(cluster.directory)
  }

  /** See `Streamer.removeClient`. */
  async remove(id: string): Promise<Removal> {
    const tally = new Tally()
    const work = this.removeById(id, tally)
    const isDone = await this.inTime(work)
    const { removal } = tally
    const { ended, pending } = removal
    if (!isDone && ended === 0 && pending.every((place) => place === DIRECTORY)) {
      throw new DirectoryUnavailableError(new Error('It did not answer within takeoverTimeout.'))
    }
    return removal
  }

  /** See `Streamer.revoke`. Never rejects. */
  async revoke(revocation: Revocation): Promise<Removal> {
    const tally = new Tally()
    // The streams of this server end before anything is waited for.
    const here = this.revokeHere(revocation, tally)
    await this.inTime(Promise.all([here, this.revokeElsewhere(revocation, tally)]))
    return tally.removal
  }

  /** Ends the clients of this server that are revoked, and refuses them from now on. */
  async revokeHere(revocation: Revocation, tally: Tally): Promise<void> {
    const { arrivals, parts, writer } = this.cluster
    const { revocations } = parts.clients
    if (!revocations.learn(revocation, writer.life)) return
    const stopped = arrivals.stop(namesOf(revocation))
    const ends = revocations.clientsOf(revocation).map((one) => this.endHere(one, 'revoked', tally))
    await Promise.all([...ends, this.haveGone(stopped, 'revoked', tally)])
  }

  /** Ends the client with this id if it is here or on its way here, for another server. */
  async removeHere(id: string, end: End, tally: Tally): Promise<void> {
    const { arrivals, parts } = this.cluster
    const stopped = arrivals.stop({ id })
    const client = parts.clients.index.get(id)
    if (client !== undefined) return this.endHere(client, end, tally).then(() => undefined)
    await this.haveGone(stopped, end, tally)
    const arrived = parts.clients.index.get(id)
    if (arrived !== undefined) await this.endHere(arrived, end, tally)
  }

  /** The directory answers: carries out what is left to do, and what was missed meanwhile. */
  directoryIsBack({ forgotten }: { forgotten: boolean }): void {
    const { clients, timers } = this.cluster.parts
    const before = new Set(clients.index.all())
    const again = [...this.again]
    this.again.clear()
    for (const [, run] of again) void run()
    timers.cancel(this.reading)
    void this.catchUp(before, forgotten)
  }

  stop(): void {
    const { timers } = this.cluster.parts
    timers.cancel(this.asking)
    timers.cancel(this.reading)
  }

  private async removeById(id: string, tally: Tally): Promise<void> {
    await this.end(id, 'removed', tally)
    if (tally.endedIds.length > 0 || tally.pending.length > 0) return
    // Automatic clients are in no directory.
    const servers = await tally.during(DIRECTORY, this.others())
    const question: Question = { ask: 'remove', id, end: 'removed' }
    await Promise.all(servers.map((server) => this.tell(server, question, tally)))
    if (tally.endedIds.length === 0 && tally.pending.length === 0) throw new NoClientError()
  }

  private async revokeElsewhere(revocation: Revocation, tally: Tally): Promise<void> {
    const { nonce } = revocation
    const again = () => this.revokeElsewhere(revocation, new Tally())
    try {
      const work = [this.spread(revocation, tally), this.endOwned(revocation, tally)]
      // Each goes on if another one fails.
      await Promise.allSettled(work)
      await Promise.all(work)
    } catch (error) {
      this.leave(tally, error, nonce, again)
    }
  }

  /** Tells all servers of a revocation: those there are, and those that will be. */
  private async spread(revocation: Revocation, tally: Tally): Promise<void> {
    const question: Question = { ask: 'revoke', revocation }
    const told = new Set<string>()
    const tellAll = async (): Promise<void> => {
      const servers = await tally.during(DIRECTORY, this.others())
      const untold = servers.filter((server) => !told.has(server))
      for (const server of untold) told.add(server)
      await Promise.all(untold.map((server) => this.tell(server, question, tally)))
    }
    const life = Math.max(revocation.until - Date.now(), this.cluster.writer.life)
    // A server that starts before the notice is written is told; one that starts later reads it.
    const written = tally.during(DIRECTORY, this.notices.write(revocation, life)).then(tellAll)
    await Promise.all([tellAll(), written])
  }

  /** Ends the clients that the directory has of a revoked owner, or by this id. */
  private async endOwned({ of, name }: Revocation, tally: Tally): Promise<void> {
    const { id: named, owner } = namesOf({ of, name })
    if (owner === undefined) return
    const { directory } = this.cluster
    const owned = await tally.during(DIRECTORY, directory.idsOf(owner))
    const ids = [...new Set([...owned, ...(named === undefined ? [] : [named])])]
    await Promise.all(
      ids.map((id) => this.end(id, 'revoked', tally, id === named ? undefined : owner)),
    )
  }

  /**
   * Ends a client, wherever it is.
   *
   * @param owner Leaves it alone if it is not this owner's.
   * @throws the directory's error if the client is not here, and nothing is known of it.
   */
  private async end(id: string, end: End, tally: Tally, owner?: string): Promise<void> {
    const { arrivals, directory, parts, server: ours, takeOvers } = this.cluster
    let last = DIRECTORY
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const stopped = arrivals.stop({ id })
      const client = parts.clients.index.get(id)
      if (client !== undefined) {
        if (owner !== undefined && client.owner !== owner) return
        if ((await this.endHere(client, end, tally)) !== 'changed') return
        continue
      }
      await this.haveGone(stopped, end, tally)
      if (parts.clients.index.get(id) !== undefined) continue
      const found = await tally.during(DIRECTORY, takeOvers.peek(id))
      if (found === undefined) {
        if (stopped.length > 0) tally.ended(id)
        return
      }
      const { record, stored } = found
      if (owner !== undefined && record.owner !== owner) return
      last = record.server
      const entry = { id, owner: record.owner }
      if (!(await tally.during(DIRECTORY, directory.delete(entry, stored.revision)))) continue
      tally.ended(id)
      // A request may have brought it here meanwhile: look again.
      if (record.server === ours) continue
      const there = new Tally()
      await tally.during(record.server, this.tell(record.server, { ask: 'remove', id, end }, there))
      tally.add(there)
      if (there.endedIds.length === 0) await this.tellOthers(id, end, tally)
      return
    }
    const moves = new Error('The client keeps moving from server to server.')
    this.leave(tally, moves, id, () => this.end(id, end, new Tally(), owner), last)
    this.askAgainLater()
  }

  /** Ends a client of this server. @returns what became of its record. */
  private async endHere(client: Client, end: End, tally: Tally): Promise<'gone' | 'changed'> {
    const { parts, writer } = this.cluster
    const { id } = client
    const former = writer.leaseOf(client)?.former
    const now = parts.timers.clock.now()
    if (client.end === undefined) {
      parts.clients.remove(client, end)
      tally.ended(id)
    }
    const outcome = await tally.during(DIRECTORY, this.cluster.ended(client))
    if (outcome === 'owed') {
      const error = new Error('The record of a removed client could not be deleted.')
      this.leave(tally, error, id, () => this.end(id, end, new Tally()))
    }
    if (former !== undefined) {
      const letGo = await tally.during(former.server, former.letGo)
      if (!letGo || former.at + RECENTLY > now) await this.tellOthers(id, end, tally)
    }
    return outcome === 'changed' ? 'changed' : 'gone'
  }

  /**
   * Has all other servers end a client. One of those that had it may not know yet that it has lost
   * it, and would write the record again that it finds missing.
   */
  private async tellOthers(id: string, end: End, tally: Tally): Promise<void> {
    try {
      const servers = await tally.during(DIRECTORY, this.others())
      const question: Question = { ask: 'remove', id, end }
      await Promise.all(servers.map((server) => this.tell(server, question, tally)))
    } catch (error) {
      this.leave(tally, error, `others ${id}`, () => this.tellOthers(id, end, new Tally()))
    }
  }

  /** Waits until those that were stopped will not come, and has their former servers end them. */
  private async haveGone(stopped: readonly Arrival[], end: End, tally: Tally): Promise<void> {
    await tally.during(DIRECTORY, this.cluster.arrivals.settled(stopped))
    const moved = stopped.filter(({ hasFormer }) => hasFormer)
    await Promise.all(moved.map(({ id }) => this.tellOthers(id, end, tally)))
  }

  /** Asks another server to end clients. If it does not answer, it is asked again. Never rejects. */
  private async tell(server: string, question: Question, tally: Tally): Promise<void> {
    if (await tally.during(server, this.ask(server, question, tally))) return
    tally.leave(server)
    this.owe(server, question)
  }

  /** @returns whether the server has done it, or has no streams any more that it knows of. */
  private async ask(server: string, question: Question, tally: Tally): Promise<boolean> {
    const { directory, parts } = this.cluster
    const { takeoverTimeout } = parts.settings
    try {
      const outcome = await directory.ask(server, writeQuestion(question), takeoverTimeout)
      if (typeof outcome === 'string') return outcome === 'gone'
      const answer = readAnswer(outcome.answer)
      if (answer.is === 'error') throw new Error(answer.error.message)
      if (answer.is === 'done') {
        const { ended, pending } = answer.value as { ended: string[]; pending: string[] }
        for (const id of ended) tally.ended(id)
        for (const place of pending) tally.leave(place)
      }
      return true
    } catch (error) {
      parts.warn(
        { err: error, server },
        'A server could not be told to end clients. It is told again.',
      )
      return false
    }
  }

  /** Keeps what could not be done, for when the directory answers. */
  private leave(
    tally: Tally,
    error: unknown,
    key: string,
    again: () => Promise<void>,
    place = DIRECTORY,
  ): void {
    tally.leave(place)
    this.again.set(key, () =>
      again().catch((failed: unknown) => this.leave(new Tally(), failed, key, again)),
    )
    this.cluster.parts.warn({ err: error }, 'Clients could not be removed everywhere yet.')
  }

  private owe(server: string, question: Question): void {
    const { timers } = this.cluster.parts
    const until = timers.clock.now() + this.cluster.writer.life
    this.owed.set(`${server} ${writeQuestion(question)}`, { server, question, until })
    this.askAgainLater()
  }

  private askAgainLater(): void {
    this.asking ??= this.cluster.parts.timers.after(AGAIN, () => {
      this.asking = undefined
      void this.askAgain()
    })
  }

  /** Asks again the servers that have not answered, and does again what kept moving. */
  private async askAgain(): Promise<void> {
    const { directory, parts, state } = this.cluster
    const now = parts.timers.clock.now()
    let servers: string[] | undefined
    try {
      servers = await directory.servers()
    } catch {
      // Asked again below: the directory does not answer at the moment.
      servers = undefined
    }
    const owed = [...this.owed]
    await Promise.all(
      owed.map(async ([key, { server, question, until }]) => {
        // A server without a lease finds out by itself when it is back.
        const isOver = until <= now || (servers !== undefined && !servers.includes(server))
        if (isOver || (await this.ask(server, question, new Tally()))) this.owed.delete(key)
      }),
    )
    if (state.directory === 'up') {
      const again = [...this.again]
      this.again.clear()
      await Promise.all(again.map(([, run]) => run()))
    }
    if (this.owed.size > 0 || this.again.size > 0) this.askAgainLater()
  }

  /** Carries out the revocations that this server may have missed. */
  private async catchUp(before: ReadonlySet<Client>, forgotten: boolean): Promise<void> {
    const { parts, writer } = this.cluster
    const { revocations } = parts.clients
    const { active } = revocations
    try {
      for (const revocation of await this.notices.read()) {
        if (!revocations.learn(revocation, writer.life)) continue
        for (const client of revocations.clientsOf(revocation)) {
          // A client that has come since then, with a log-in that is not refused, is a new one.
          if (!before.has(client) && !revocations.refusesClient(client)) continue
          await this.endHere(client, 'revoked', new Tally())
        }
      }
      // An engine that was made anew has forgotten them.
      for (const revocation of forgotten ? active : []) {
        await this.notices.write(revocation, Math.max(revocation.until - Date.now(), writer.life))
      }
    } catch (error) {
      parts.warn({ err: error }, 'The revocations could not be read. They are read again.')
      this.reading = parts.timers.after(AGAIN, () => void this.catchUp(before, forgotten))
    }
  }

  private async others(): Promise<string[]> {
    const { directory, server: ours } = this.cluster
    return (await directory.servers()).filter((server) => server !== ours)
  }

  /** Waits for at most `takeoverTimeout`; what is left goes on. @returns whether it was done. */
  private async inTime(work: Promise<unknown>): Promise<boolean> {
    const { timers, settings } = this.cluster.parts
    let timer: Timer | undefined
    const late = new Promise<boolean>((resolve) => {
      timer = timers.after(settings.takeoverTimeout, () => resolve(false))
    })
    try {
      return await Promise.race([work.then(() => true), late])
    } finally {
      timers.cancel(timer)
      // Whoever asked has an answer by then; what fails later is tried again.
      work.catch((error: unknown) => void error)
    }
  }
}

/** The id and the owner that a revocation names. Labels are not in the directory. */
function namesOf({ of, name }: Pick<Revocation, 'of' | 'name'>): { id?: string; owner?: string } {
  if (of === 'either') return { id: name, owner: name }
  return of === 'owner' ? { owner: name } : {}
}
