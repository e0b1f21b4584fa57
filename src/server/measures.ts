import client from 'prom-client'
import type { AnyResponse, Streamer } from '../index.js'
import { UnifrostError } from '../index.js'
import type { StreamerMetrics } from '../metrics/index.js'
import { metrics } from '../metrics/index.js'

/** One of several workers has the counts of its own streams only. */
export class WorkerMetricsError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_WORKER_METRICS'
  readonly status = 501
  constructor() {
    super(
      '/metrics is for a server of one process: with workers, each request reaches another one, and ' +
        'counters would jump. Leave workers out, and run one server for each core.',
    )
  }
}

/** What `/metrics` has: the counts of one Streamer, as Prometheus reads them. */
export class Measures {
  private readonly made: Promise<StreamerMetrics> | undefined

  /** @param shared Whether other processes serve behind the same port. */
  constructor(streamer: Streamer, shared: boolean) {
    if (!shared) this.made = metrics(streamer, { client })
  }

  /** @throws WorkerMetricsError */
  async answer(response: AnyResponse): Promise<void> {
    if (this.made === undefined) throw new WorkerMetricsError()
    const { contentType, text } = await this.made
    const body = await text()
    response.statusCode = 200
    response.setHeader('Content-Type', contentType)
    response.setHeader('Cache-Control', 'no-store')
    response.end(body)
  }

  async close(): Promise<void> {
    const made = await this.made
    made?.close()
  }
}
