import type { Request, RequestHandler, Response } from 'express'

/**
 * Cuts event streams at the socket, as a bad network does: no last message is sent, and the
 * Streamer does not know. The browser notices, waits and reconnects by itself.
 */
export class Cutter {
  readonly #streams = new Map<string, Set<Response>>()
  readonly #awayUntil = new Map<string, number>()

  /** Middleware that notes each client's streams. It goes before the one that opens them. */
  readonly watch: RequestHandler = (req, res, next) => {
    const id = clientId(req)
    if (id === undefined) return next()
    if (this.#isAway(id)) return void req.socket.destroy()

    const streams = this.#streams.get(id) ?? new Set()
    this.#streams.set(id, streams.add(res))
    res.once('close', () => {
      streams.delete(res)
      if (streams.size === 0 && this.#streams.get(id) === streams) this.#streams.delete(id)
    })
    next()
  }

  /**
   * @param seconds How long the client's attempts to reconnect fail.
   * @returns the number of streams that were cut.
   */
  drop(id: string, seconds: number): number {
    const streams = [...(this.#streams.get(id) ?? [])]
    if (streams.length > 0 && seconds > 0) {
      this.#awayUntil.set(id, performance.now() + seconds * 1_000)
    }
    for (const stream of streams) stream.socket?.destroy()
    return streams.length
  }

  #isAway(id: string): boolean {
    const now = performance.now()
    for (const [other, until] of this.#awayUntil) {
      if (until <= now) this.#awayUntil.delete(other)
    }
    return this.#awayUntil.has(id)
  }
}

function clientId(req: Request): string | undefined {
  const { id } = req.query
  return typeof id === 'string' ? id : undefined
}
