import type { PubSub } from '@google-cloud/pubsub'
import { Backoff, pause, within } from '../../driver-kit/index.js'
import { answered, Code, codeOf, isTransient, once } from './answers.js'

/** How long clean-up may run on after `close` has returned, in milliseconds. */
export const LINGER = 25_000

/** The link whose subscriptions are deleted. */
export interface DeletionsHost {
  readonly client: PubSub | undefined
  /** Whether the driver is being closed. */
  readonly closed: boolean
  hears(client: PubSub): void
  replaced(client: PubSub | undefined): boolean
}

/** Deletes subscriptions that are not read any more. What can't be deleted expires by itself. */
export class Deletions {
  private readonly underWay = new Set<Promise<void>>()

  constructor(
    private readonly host: DeletionsHost,
    private readonly options: { heartbeat: number; closeTimeout: number },
  ) {}

  get size(): number {
    return this.underWay.size
  }

  /** Settles when all that are under way now have ended. */
  async done(): Promise<void> {
    await Promise.all(this.underWay)
  }

  /**
   * Deletes a subscription, and waits for that no longer than `closeTimeout`.
   *
   * @param made Settles when the subscription is made, if it ever is: Pub/Sub may still make one that
   *   it could not make in time.
   */
  async add(name: string, made?: Promise<unknown>): Promise<void> {
    const deleting = this.delete(name, made).finally(() => this.underWay.delete(deleting))
    this.underWay.add(deleting)
    await within(deleting, this.options.closeTimeout)
  }

  private async delete(name: string, made: Promise<unknown> | undefined): Promise<void> {
    const { host, options } = this
    const until = performance.now() + options.closeTimeout + LINGER
    if (made !== undefined) await within(made, until - performance.now())
    const backoff = new Backoff()
    for (let missing = 0; ;) {
      const left = until - performance.now()
      if (left <= 0) return
      const { client } = host
      // The last try is left on its way when the driver is closed.
      const patience = host.closed ? left : Math.min(left, options.heartbeat)
      try {
        if (client !== undefined) {
          await answered(client.subscription(name).delete(once(patience)), patience)
          host.hears(client)
          return
        }
      } catch (error) {
        const code = codeOf(error)
        if (code === Code.NotFound && client !== undefined) host.hears(client)
        if (code === Code.NotFound && (made === undefined || ++missing > 3)) return
        // A subscription that is being made may still come.
        const again = code === Code.NotFound || isTransient(error) || host.replaced(client)
        if (!again) return
      }
      if (host.closed && client === undefined) return
      await pause(backoff.next(), undefined, { ref: false })
    }
  }
}
