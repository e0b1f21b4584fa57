import { setTimeout as pause } from 'node:timers/promises'
import type { DirectoryHost } from '../../directory.js'
import { Backoff } from '../../driver-kit/backoff.js'
import { DirectoryUnavailableError } from '../../errors.js'

/** What an engine does for a server that is to stay connected, with a lease. */
export interface StayingEngine {
  /** How long a lease holds, in milliseconds. */
  readonly lease: number
  /**
   * Connects where need be, sees to it that questions are received, and takes the lease.
   *
   * @returns what names the engine's memory, and what settles when the connection is lost.
   */
  enter(host: DirectoryHost): Promise<{ memory: string; lost: Promise<unknown> }>
  /** Renews the lease. Where it rejects, the engine is entered anew. */
  renew(host: DirectoryHost): Promise<void>
}

/** Keeps a server connected to an engine, and tells it how that goes. */
export class Staying {
  readonly #closing = new AbortController()
  readonly #backoff = new Backoff()
  #away: unknown = new Error('The directory has not been opened.')
  #staying: Promise<void> | undefined

  constructor(private readonly engine: StayingEngine) {}

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
      this.#staying = this.#stay(host, resolve, reject)
    })
  }

  /** No more is tried. Settles once nothing is under way. */
  async close(): Promise<void> {
    this.#closing.abort()
    this.#away = new Error('The directory has been closed.')
    await this.#staying
  }

  async #stay(
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
      await within(pause(this.#backoff.next(), undefined, { signal }))
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
      await within(pause(lease / 3, undefined, { signal }))
      // Where this process itself was stopped, others may take it for dead.
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

/** Waits for a pause, or for what breaks it off. */
async function within(pausing: Promise<void>): Promise<void> {
  await pausing.catch((error: unknown) => void error)
}
