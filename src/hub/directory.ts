import type { Directory, DirectoryHost, Entry, Outcome, Revision, Stored } from '../directory.js'
import { LeaseKeeper } from '../directories/toolbox/lease-keeper.js'
import type { LeasedEngine } from '../directories/toolbox/lease-keeper.js'
import { RequestReply } from '../directories/toolbox/request-reply.js'
import { inTime, noAnswer } from '../driver-kit/index.js'
import { DirectoryUnavailableError } from '../errors.js'
import { checkOptions, number } from '../option-checks.js'
import { checkAddress } from './address.js'
import { HubConnection } from './connection.js'
import { thisProcess } from './process-of.js'

/** What `hubDirectory` takes besides the address. Durations are in milliseconds. */
export interface HubDirectoryOptions {
  /**
   * How long a worker counts as alive without a word. It renews that at a third. One whose process has
   * died is known to be dead at once. Default: 10,000.
   */
  lease?: number
  /** How long the hub may take to answer. Default: 5,000. */
  timeout?: number
}

/**
 * Remembers the clients of all workers in the hub of this machine.
 *
 * @param address The path of the hub's Unix socket; on Windows the name of its pipe.
 * @throws OptionsError
 */
export function hubDirectory(address: string, options: HubDirectoryOptions = {}): Directory {
  checkAddress('hubDirectory', address)
  const milliseconds = number(1, 2 ** 31 - 1)
  checkOptions('hubDirectory', options, { lease: milliseconds, timeout: milliseconds })
  const { lease = 10_000, timeout = 5_000 } = options
  return new HubDirectory(address, lease, timeout)
}

class HubDirectory implements Directory, LeasedEngine {
  readonly #keeper = new LeaseKeeper(this)
  readonly #replies = new RequestReply((to, packet) => this.#ask('send', { to, packet }))
  #connection: HubConnection | undefined
  #host: DirectoryHost | undefined

  constructor(
    private readonly address: string,
    readonly lease: number,
    private readonly timeout: number,
  ) {}

  open(host: DirectoryHost): Promise<void> {
    this.#host = host
    return this.#keeper.open(host)
  }

  async enter(host: DirectoryHost): Promise<{ memory: string; lost: Promise<unknown> }> {
    this.#connection?.end()
    const connection = await this.#connect(host)
    this.#connection = connection
    try {
      const { server } = host
      const args = { server, lease: this.lease, process: thisProcess() }
      const greeting = connection.greet<{ memory: string }>('directory', args)
      const { memory } = await inTime(greeting, this.timeout)
      return { memory, lost: connection.lost }
    } catch (error) {
      connection.end()
      throw error
    }
  }

  renew(): Promise<void> {
    return this.#ask('renew')
  }

  async get(id: string): Promise<Stored | undefined> {
    return this.#askFor('get', { id })
  }

  async put(
    entry: Entry,
    revision: Revision | undefined,
    ttl: number,
  ): Promise<Revision | undefined> {
    return this.#askFor('put', { entry, revision, ttl })
  }

  async delete({ id }: Omit<Entry, 'text'>, revision: Revision): Promise<boolean> {
    return this.#askFor('delete', { id, revision })
  }

  async idsOf(owner: string): Promise<string[]> {
    return this.#askFor('idsOf', { owner })
  }

  async servers(): Promise<string[]> {
    return this.#askFor('servers')
  }

  async ask(server: string, message: string, timeout: number): Promise<Outcome> {
    this.#keeper.check()
    try {
      return await this.#replies.ask(this.#host!.server, server, message, timeout)
    } catch (cause) {
      throw new DirectoryUnavailableError(cause)
    }
  }

  async close(): Promise<void> {
    if (!this.#keeper.isClosed && this.#connection !== undefined) {
      // A hub that does not answer forgets this server when its lease is over.
      await inTime(this.#connection.ask('leave'), 1_000).catch(() => undefined)
    }
    this.#connection?.end()
    await this.#keeper.close()
    this.#connection?.end()
    await this.#connection?.lost
  }

  async #connect(host: DirectoryHost): Promise<HubConnection> {
    const giveUp = new AbortController()
    const events = {
      event: (_name: string, { packet }: Record<string, unknown>) =>
        this.#replies.receive(String(packet), (message) => host.receive(message)),
    }
    try {
      return await inTime(HubConnection.open(this.address, events, giveUp.signal), this.timeout)
    } catch (cause) {
      giveUp.abort()
      throw new Error(
        `The hub could not be reached at ${this.address} (${(cause as Error).message}). ` +
          'Start the hub, or correct the address.',
        { cause },
      )
    }
  }

  /** Asks for what an operation of the directory takes. */
  async #askFor<Answer>(name: string, args?: Record<string, unknown>): Promise<Answer> {
    this.#keeper.check()
    try {
      return await this.#ask<Answer>(name, args)
    } catch (cause) {
      throw new DirectoryUnavailableError(cause)
    }
  }

  async #ask<Answer>(name: string, args?: Record<string, unknown>): Promise<Answer> {
    const connection = this.#connection
    if (connection === undefined) throw new Error('There is no connection to the hub.')
    try {
      return await inTime(connection.ask<Answer>(name, args), this.timeout)
    } catch (error) {
      // A hub that is silent is given up, and looked for again.
      if ((error as Error).message === noAnswer(this.timeout).message) connection.end()
      throw error
    }
  }
}
