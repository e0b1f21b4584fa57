import type { DirectoryHost } from '../../directory.js'
import { Backoff, pause } from '../../driver-kit/index.js'
import { DirectoryUnavailableError } from '../../errors.js'

/** What an engine does so that this server stays known as alive. */
export interface LeasedEngine {
  /** How long a lease holds, in milliseconds. */
  readonly lease: number
  /**
   * Connects if it has to, begins to receive questions of other servers, and takes the lease.
   *
   * @returns what names the engine's memory, and what settles when the connection is lost.
   */
  enter(host: DirectoryHost): Promise<{ memory: string; lost: Promise<unknown> }>
  /** Renews the lease. When it rejects, `enter` is called again. */
  renew(host: DirectoryHost): Promise<void>
}

/** Keeps this server's lease on an engine, and tells the host when the engine is up or down. */
export class LeaseKeeper {
  readonly #closing = new AbortController()
  readonly #backoff = new Backoff()
  #away: unknown = new Error('The directory has not been opened.')
  #keeping: Promise<void> | undefined

  constructor(private readonly engine: LeasedEngine) {}

  get isClosed(): boolean {
    return this.#closing.signal.aborted
  }

  /** @throws DirectoryUnavailableError where the engine is away. */
  check(): void {
    if (this.#away !== undefined) throw new DirectoryUnavailableError(this.#away)
  }

  /** See `Directory.open`. */
  open(host: DirectoryHost): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#keeping = this.#keep(host, resolve, reject)
    })
  }

  /** Tries no more. Settles once nothing is under way. */
  async close(): Promise<void> {
    this.#closing.abort()
    this.#away = new Error('The directory has been closed.')
    await this.#keeping
  }

  async #keep(
    host: DirectoryHost,
    opened: () => void,
    failed: (reason: unknown) => void,
  ): Promise<void> {
    const { signal } = this.#closing
    while (!signal.aborted) {
      let reason: unknown
      try {
        const { memory, lost } = await this.engine.enter(host)
        if (signal.aborted) break
        this.#backoff.reset()
        this.#away = undefined
        host.up(memory)
        opened()
        reason = await this.#renew(host, memory, lost)
      } catch (error) {
        reason = error
      }
      if (signal.aborted) break
      this.#away = reason
      failed(reason)
      host.down(reason instanceof Error ? reason : new Error(String(reason)))
      await pause(this.#backoff.next(), signal)
    }
    failed(this.#away)
  }

  /** Renews the lease until the connection is lost. @returns why it was. */
  async #renew(host: DirectoryHost, memory: string, lost: Promise<unknown>): Promise<unknown> {
    const { lease } = this.engine
    const gone = new AbortController()
    void lost.then(() => gone.abort())
    const signal = AbortSignal.any([gone.signal, this.#closing.signal])
    let renewedAt = performance.now()
    while (!signal.aborted) {
      await pause(lease / 3, signal)
      // This process was stopped for longer than the lease: others may take it for dead.
      const late = performance.now() - renewedAt > lease
      if (late) host.lapsed()
      if (signal.aborted) break
      const from = performance.now()
      await this.engine.renew(host)
      renewedAt = from
      if (late) host.up(memory)
    }
    return this.isClosed ? undefined : lost
  }
}
