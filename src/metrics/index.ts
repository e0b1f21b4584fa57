export type { MetricsOptions, PromClient, StreamerMetrics } from './prometheus.js'
export { metrics } from './prometheus.js'
export type { InstrumentOptions } from './opentelemetry.js'
export { instruments } from './opentelemetry.js'
