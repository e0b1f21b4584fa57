import type { Timings } from '../delivery/timings.js'

/** What metrics are made of beside the stats, the health and the events of a Streamer. */
export class Signals {
  private readonly refusals = new Map<string, number>()
  private readonly refusedRequests = new WeakSet<object>()

  constructor(readonly timings: Timings) {}

  /** A request is refused. More than one middleware may say so of one request. */
  refused(request: object, code: string): void {
    if (this.refusedRequests.has(request)) return
    this.refusedRequests.add(request)
    this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1)
  }

  /** Requests that were refused, by the error's code. There are as many codes as classes of errors. */
  get refusedByCode(): ReadonlyMap<string, number> {
    return this.refusals
  }
}
