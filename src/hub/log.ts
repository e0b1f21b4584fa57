import { Watchers } from '../driver-kit/index.js'
import type { Log, LogEntry } from '../log.js'
import type { HubConnection } from './connection.js'
import type { LogPart } from './packets.js'
import { KIND, PacketReader, payloadOf, readEntry } from './packets.js'

/** The numbering of one life of a hub. */
export interface Numbering {
  readonly epoch: string
  /** What the workers sign positions with. */
  readonly secret: string
  /** The number that was taken last. */
  readonly position: number
}

/** The hub's log, as one worker reads it. */
export class HubLog implements Log {
  epoch: string | undefined = undefined
  secret: string | undefined = undefined
  position = 0
  onRestart: (() => void) | undefined = undefined
  readonly #watchers = new Watchers()
  #isClosed = false

  /**
   * @param connection The connection to the hub, which is made where there is none.
   * @param timeout How long anything may take, in milliseconds.
   */
  constructor(
    private readonly connection: () => Promise<HubConnection>,
    private readonly timeout: number,
  ) {}

  async open(): Promise<void> {
    await this.connection()
  }

  async reach(number: number): Promise<boolean> {
    if (number <= this.position) return true
    const { epoch } = this
    // A hub that can't be asked has not said that there is such a number.
    const end = await this.connection()
      .then((connection) => connection.ask<number>('end'))
      .catch(() => 0)
    if (end < number) return false
    const isThere = () => number <= this.position
    const isOver = () => isThere() || this.#isClosed || epoch !== this.epoch
    await this.#watchers.until(isOver, this.timeout)
    return isThere() && epoch === this.epoch
  }

  async *read(topics: readonly string[], after: number, through: number): AsyncGenerator<LogEntry> {
    const { epoch } = this
    for (let at = after; at < through;) {
      const connection = await this.connection()
      const part = await connection.ask<LogPart>('read', { topics, after: at, through })
      if (epoch !== this.epoch) throw new Error('The hub was started anew while its log was read.')
      yield* entriesOf(part, topics)
      at = part.through
    }
  }

  /** Everything through here has been handed on, or was for no topic that is open. */
  at(number: number): void {
    if (number <= this.position) return
    this.position = number
    this.#watchers.look()
  }

  /**
   * The hub's numbering, as it is at the start of a connection.
   *
   * @returns whether the Streamer has been told that the hub was started anew.
   */
  greeted({ epoch, secret, position }: Numbering): boolean {
    if (epoch === this.epoch) return false
    const isFirst = this.epoch === undefined
    this.epoch = epoch
    this.secret = secret
    this.position = position
    this.#watchers.look()
    if (isFirst || this.onRestart === undefined) return false
    this.onRestart()
    return true
  }

  close(): void {
    this.#isClosed = true
    this.#watchers.look()
  }
}

/** The entries of a part, in order. */
function entriesOf(part: LogPart, asked: readonly string[]): LogEntry[] {
  const names = new Map(part.topics.map((id, index) => [id, asked[index]!]))
  const unknown = asked.filter((_name, index) => part.topics[index] === 0)
  const entries: LogEntry[] = []
  if (unknown.length > 0) entries.push({ lostThrough: part.through, topics: unknown })
  new PacketReader((kind, body) => {
    const { number, topic, payload } = readEntry(body)
    const topics = [names.get(topic)!]
    if (kind === KIND.gap) entries.push({ lostThrough: number, topics })
    else entries.push({ number, payload: payloadOf(kind, payload), topics })
  }).push(part.packets)
  return entries
}
