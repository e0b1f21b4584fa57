import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'

/** A link to a broker that can be broken in ways a broker itself can't be made to break it. */
export interface Link {
  /** The port on 127.0.0.1 to connect to instead of the broker's. */
  readonly port: number
  /** How many connections are open through it. */
  readonly connections: number
  /** Closes every connection at once. New ones are taken. */
  cut(): void
  /**
   * Lets every connection that is open go silent: it stays open and carries nothing more, as
   * when a firewall has forgotten it. New ones are taken and work.
   */
  stall(): void
  /** Closes every connection, and each new one as soon as it is made, until told otherwise. */
  refuse(): Refusal
  close(): Promise<void>
}

/** While connections are refused, as when a balancer has no broker behind it. */
export interface Refusal {
  /**
   * When somebody tried to connect, in milliseconds as `performance.now` has them, in order. It
   * grows with each attempt.
   */
  readonly attempts: readonly number[]
  /** Takes connections again. */
  end(): void
}

/** Makes a link to a port, on this machine unless told otherwise. */
export async function tcpLink(target: number, host = '127.0.0.1'): Promise<Link> {
  const pairs = new Set<{ near: Socket; far: Socket; silent: boolean }>()
  const refusals = new Set<number[]>()
  const server = createServer((near) => {
    if (refusals.size > 0) {
      for (const attempts of refusals) attempts.push(performance.now())
      near.on('error', () => undefined)
      near.resetAndDestroy()
      return
    }
    const far = connect(target, host)
    const pair = { near, far, silent: false }
    pairs.add(pair)
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.setNoDelay(true)
      from.on('data', (bytes) => {
        // Read even when silent: a paused socket would not notice that its peer has gone.
        if (!pair.silent && !to.destroyed) to.write(bytes)
      })
      // An error is always followed by 'close', which is where both ends are let go.
      from.on('error', () => undefined)
      from.on('close', () => {
        pairs.delete(pair)
        to.destroy()
      })
    }
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })

  function cut(): void {
    for (const { near, far } of pairs) {
      near.destroy()
      far.destroy()
    }
  }

  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return pairs.size
    },
    cut,
    stall() {
      for (const pair of pairs) pair.silent = true
    },
    refuse() {
      const attempts: number[] = []
      refusals.add(attempts)
      cut()
      return { attempts, end: () => void refusals.delete(attempts) }
    },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      cut()
      await closed
    },
  }
}
