import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/** Stands between a client and a server, and can do what a bad network does. */
export interface TcpProxy {
  /** Where it listens, on 127.0.0.1. */
  readonly port: number
  /** How many connections are open through it. */
  readonly open: number
  /**
   * Resets every connection that is open, on both sides, without a word to either.
   *
   * @returns how many there were.
   */
  cut(): number
  /** Whether connections that come from now on are reset at once. */
  refuse(on: boolean): void
  /** Stops (and resumes) carrying bytes in both directions; connections stay open. */
  freeze(on: boolean): void
  close(): Promise<void>
}

/** Listens on a free port and forwards to `port` on `host` (127.0.0.1). */
export async function tcpProxy(port: number, host = '127.0.0.1'): Promise<TcpProxy> {
  const pairs = new Set<readonly [Socket, Socket]>()
  let refusing = false
  let frozen = false

  const flow = (from: Socket, to: Socket): void => {
    from.on('data', (bytes) => {
      if (!to.write(bytes)) from.pause()
    })
    to.on('drain', () => {
      if (!frozen) from.resume()
    })
    from.on('end', () => to.end())
  }

  const server = createServer({ allowHalfOpen: true }, (near) => {
    if (refusing) return void near.resetAndDestroy()
    const far = connect({ port, host, allowHalfOpen: true })
    const pair = [near, far] as const
    pairs.add(pair)
    for (const socket of pair) {
      socket.setNoDelay(true)
      // What befalls one side befalls the other; `close` follows every error.
      socket.on('error', () => {})
      socket.on('close', () => {
        pairs.delete(pair)
        for (const other of pair) other.destroy()
      })
      if (frozen) socket.pause()
    }
    flow(near, far)
    flow(far, near)
    if (frozen) for (const socket of pair) socket.pause()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  const cut = (): number => {
    const open = [...pairs]
    for (const pair of open) for (const socket of pair) socket.resetAndDestroy()
    return open.length
  }

  return {
    port: (server.address() as AddressInfo).port,
    get open() {
      return pairs.size
    },
    cut,
    refuse(on) {
      refusing = on
    },
    freeze(on) {
      frozen = on
      for (const pair of pairs) for (const socket of pair) on ? socket.pause() : socket.resume()
    },
    async close() {
      const closed = once(server, 'close')
      server.close()
      cut()
      await closed
    },
  }
}
