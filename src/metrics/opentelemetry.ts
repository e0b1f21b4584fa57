import type { Attributes, Meter, Observable } from '@opentelemetry/api'
import { OptionsError } from '../errors.js'
import { checkOptions, isThenable, methods } from '../option-checks.js'
import type { OptionCheck } from '../option-checks.js'
import type { Streamer } from '../streamer.js'
import { watchLoop } from './loop-delay.js'
import { checkStreamer } from './prometheus.js'
import type { Metric, TimeMetric } from './readings.js'
import { CATCH_UP, DELIVERY, LOOP_DELAY, METRICS, signalsOf } from './readings.js'

/** Options of {@link instruments}. */
export interface InstrumentOptions {
  /** Attributes that every value has, such as the name of the Streamer. Default: none. */
  attributes?: Attributes
}

const OPTIONS = {
  attributes: [
    (value) =>
      typeof value === 'object' && value !== null && !Array.isArray(value) && !isThenable(value),
    'an object of attributes',
  ],
} satisfies Record<keyof InstrumentOptions, OptionCheck>

const METER = methods(
  'createObservableGauge',
  'createObservableCounter',
  'createHistogram',
  'addBatchObservableCallback',
  'removeBatchObservableCallback',
)

/**
 * The metrics of a Streamer as instruments of OpenTelemetry, under the same names and labels as those
 * for Prometheus. An example:
 *
 * ```ts
 * const end = instruments(streamer, api.metrics.getMeter('my-app'))
 * ```
 *
 * @param meter A `Meter` of `@opentelemetry/api`.
 * @returns ends them.
 * @throws OptionsError
 */
export function instruments(
  streamer: Streamer,
  meter: Meter,
  options: InstrumentOptions = {},
): () => void {
  checkStreamer('instruments', streamer)
  if (!isMeter(meter)) {
    throw new OptionsError('instruments takes a Meter of @opentelemetry/api second.')
  }
  checkOptions('instruments', options, OPTIONS)
  const { attributes = {} } = options
  const read = METRICS.map((metric) => ({ metric, instrument: observable(meter, metric) }))
  const observed = read.map(({ instrument }) => instrument)
  const observe: Parameters<Meter['addBatchObservableCallback']>[0] = (result) => {
    for (const { metric, instrument } of read) {
      for (const { value, labels } of metric.read(streamer, signalsOf(streamer))) {
        result.observe(instrument, value, { ...attributes, ...labels })
      }
    }
  }
  meter.addBatchObservableCallback(observe, observed)
  const times = ({ name, help, buckets }: TimeMetric) => {
    const advice = { explicitBucketBoundaries: [...buckets] }
    const histogram = meter.createHistogram(name, { description: help, unit: 's', advice })
    return (seconds: number) => histogram.record(seconds, attributes)
  }
  const endTimes = signalsOf(streamer).signals.timings.listen({
    delivered: times(DELIVERY),
    caughtUp: times(CATCH_UP),
  })
  const endLoop = watchLoop(times(LOOP_DELAY))
  return () => {
    endTimes()
    endLoop()
    meter.removeBatchObservableCallback(observe, observed)
  }
}

function observable(meter: Meter, { kind, name, help }: Metric): Observable {
  const about = { description: help }
  return kind === 'gauge'
    ? meter.createObservableGauge(name, about)
    : meter.createObservableCounter(name, about)
}

/** A meter is often an instance of a class of the SDK, or a proxy for one. */
function isMeter(value: unknown): boolean {
  return METER[0](value)
}
