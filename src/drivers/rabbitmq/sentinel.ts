import { createHash, randomUUID } from 'node:crypto'
import type { ControlChannel } from './control-channel.js'

/**
 * Tells an exchange from another one of its name: RabbitMQ drops the bindings of an exchange that is
 * deleted, tells nobody, and knows no difference between it and the next one of that name.
 *
 * So a sentinel is bound to it: an exchange that RabbitMQ itself deletes with the binding, since it
 * is `autoDelete` and has no other. Nobody can publish to it (`internal`), so the exchange gets
 * nothing from it. All servers share one, whatever is read. One that finds it missing makes the next;
 * the others know from its mark that it is another one.
 *
 * An example. Servers A and B know the sentinel with mark 1. The exchange is deleted, and the sentinel
 * with it. The exchange is made again. A finds no sentinel, and makes one with mark 2. B finds mark 2.
 *
 * It takes the permission to write to the exchange, which RabbitMQ asks of whoever binds something to
 * it. Without it, nothing is watched.
 */
export class Sentinel {
  readonly #name: string
  #mark: string | undefined

  constructor(
    private readonly control: ControlChannel,
    private readonly exchange: string,
    private readonly prefix: string,
  ) {
    const isShort = Buffer.byteLength(exchange) <= SHORT
    const hash = () => createHash('sha256').update(exchange).digest('hex').slice(0, 16)
    this.#name = `${prefix}sentinel-${isShort ? exchange : hash()}`
  }

  /** Remembers which exchange it is, before anything is bound to it. */
  async begin(): Promise<void> {
    const mine = this.prefix + randomUUID().slice(0, 8)
    try {
      const mark = await this.#made(mine)
      if (await this.#bound(mark === mine)) this.#mark = mark
    } catch {
      // Refused, it is not watched. That the connection was lost is met by whoever asks next.
      this.#mark = undefined
    }
  }

  /** Whether the exchange is another one than when it began. */
  async isReplaced(): Promise<boolean> {
    const mark = this.#mark
    if (mark === undefined) return false
    try {
      await this.control.run((channel) => channel.checkExchange(this.#name))
      return mark !== UNKNOWN && (await this.#made(mark)) !== mark
    } catch (error) {
      if (codeOf(error) === NOT_FOUND) return true
      if (isRefusal(error)) return false
      throw error
    }
  }

  /**
   * Makes the sentinel with a mark, where there is none.
   *
   * @returns the mark of the one that is there.
   */
  async #made(mark: string): Promise<string> {
    // Of an exchange's arguments, RabbitMQ compares only this one, and names the one that is there.
    const options = { durable: false, autoDelete: true, internal: true, alternateExchange: mark }
    try {
      await this.control.run((channel) => channel.assertExchange(this.#name, 'fanout', options))
      return mark
    } catch (error) {
      if (codeOf(error) !== DIFFERS) throw error
      return /current is the value '([^']+)'/.exec((error as Error).message)?.[1] ?? UNKNOWN
    }
  }

  /** @returns whether it is bound. One that can't be is deleted, if it is ours. */
  async #bound(isOurs: boolean): Promise<boolean> {
    try {
      await this.control.run((channel) => channel.bindExchange(this.exchange, this.#name, ''))
      return true
    } catch (error) {
      if (!isRefusal(error)) throw error
      const options = { ifUnused: true }
      if (isOurs) await this.control.run((channel) => channel.deleteExchange(this.#name, options))
      return false
    }
  }
}

/**
 * How many bytes of an exchange's name stand in that of its sentinel. RabbitMQ's words have 255 bytes at
 * most, and the two marks stand at their end.
 */
const SHORT = 32

/** The mark of a sentinel that RabbitMQ's words had no room for. Only that it is missing is noticed. */
const UNKNOWN = ''

const NOT_FOUND = 404
const DIFFERS = 406

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown }).code
}

/** Whether RabbitMQ said no, and the connection is there. */
function isRefusal(error: unknown): boolean {
  return typeof codeOf(error) === 'number'
}
