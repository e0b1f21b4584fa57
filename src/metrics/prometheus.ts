import type { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { OptionsError } from '../errors.js'
import type { OptionCheck } from '../option-checks.js'
import { checkOptions, methods } from '../option-checks.js'
import { hasDoor } from '../http/door.js'
import type { Streamer } from '../streamer.js'
import { watchLoop } from './loop-delay.js'
import type { Metric, TimeMetric } from './readings.js'
import { CATCH_UP, DELIVERY, LOOP_DELAY, METRICS, signalsOf } from './readings.js'

/** What is used of the module `prom-client`. */
export interface PromClient {
  Registry: typeof Registry
  Counter: typeof Counter
  Gauge: typeof Gauge
  Histogram: typeof Histogram
}

/** Options of {@link metrics}. */
export interface MetricsOptions {
  /**
   * The module `prom-client`, as `import client from 'prom-client'` gives it. Default: it is imported,
   * so it has to be installed.
   */
  client?: PromClient
  /** Where the metrics are registered. Default: a registry of their own. */
  register?: Registry
}

/** The metrics of one Streamer. */
export interface StreamerMetrics {
  /** The registry that has them. */
  readonly register: Registry
  /** The `Content-Type` of `text()`. */
  readonly contentType: string
  /** All of the registry, as Prometheus reads it. */
  text(): Promise<string>
  /** Stops measuring, and takes them out of the registry. A second call does nothing. */
  close(): void
}

const isClient = (value: unknown) =>
  ['Registry', 'Counter', 'Gauge', 'Histogram'].every(
    (name) => typeof (Object(value) as Record<string, unknown>)[name] === 'function',
  )
const isRegistry = (value: unknown) =>
  methods('registerMetric', 'removeSingleMetric', 'metrics')[0](value)

const OPTIONS = {
  client: [isClient, "the module 'prom-client'"],
  register: [isRegistry, 'a Registry of prom-client'],
} satisfies Record<keyof MetricsOptions, OptionCheck>

/**
 * The metrics of a Streamer for Prometheus. They are read from the Streamer when Prometheus asks,
 * so they cost next to nothing in between. An example, in Express:
 *
 * ```ts
 * const { text, contentType } = await metrics(streamer)
 * app.get('/metrics', async (_request, response) => response.type(contentType).send(await text()))
 * ```
 *
 * @throws OptionsError, also where `prom-client` is neither given nor installed.
 */
export async function metrics(
  streamer: Streamer,
  options: MetricsOptions = {},
): Promise<StreamerMetrics> {
  checkStreamer('metrics', streamer)
  checkOptions('metrics', options, OPTIONS)
  const client = options.client ?? (await installed())
  const register = options.register ?? new client.Registry()
  const names: string[] = []
  const registers = [register]
  const registered = <T extends { name: string }>(metric: T): T => {
    names.push(metric.name)
    return metric
  }
  const times = ({ name, help, buckets }: TimeMetric) => {
    registered({ name })
    return new client.Histogram({ name, help, buckets: [...buckets], registers })
  }
  for (const metric of METRICS) make(client, registered(metric), streamer, registers)
  const [delivery, catchUp, loop] = [times(DELIVERY), times(CATCH_UP), times(LOOP_DELAY)]
  const endTimes = signalsOf(streamer).signals.timings.listen({
    delivered: (seconds) => delivery.observe(seconds),
    caughtUp: (seconds) => catchUp.observe(seconds),
  })
  const endLoop = watchLoop((seconds) => loop.observe(seconds))
  return {
    register,
    contentType: register.contentType,
    text: () => register.metrics(),
    close: () => {
      endTimes()
      endLoop()
      for (const name of names.splice(0)) register.removeSingleMetric(name)
    },
  }
}

/** Makes a metric that reads the Streamer whenever it is asked for its values. */
function make(client: PromClient, metric: Metric, streamer: Streamer, registers: Registry[]): void {
  const { name, help, labels, kind } = metric
  const read = () => metric.read(streamer, signalsOf(streamer))
  const about = { name, help, labelNames: [...labels], registers }
  if (kind === 'gauge') {
    new client.Gauge({
      ...about,
      collect() {
        const [reading] = read()
        if (reading !== undefined) this.set(reading.value)
        // It would be 0 otherwise, which says that the broker is down.
        else this.remove()
      },
    })
    return
  }
  new client.Counter({
    ...about,
    collect() {
      this.reset()
      for (const { value, labels: of = {} } of read()) this.inc(of, value)
    },
  })
}

/** @throws OptionsError */
export function checkStreamer(caller: string, streamer: unknown): void {
  if (!hasDoor(streamer)) throw new OptionsError(`${caller} takes a Streamer first.`)
}

async function installed(): Promise<PromClient> {
  try {
    const { default: client } = await import('prom-client')
    return client
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code !== 'ERR_MODULE_NOT_FOUND' && code !== 'MODULE_NOT_FOUND') throw cause
    throw new OptionsError(
      'metrics needs the package prom-client. Run `npm install prom-client`, or give the module as ' +
        'the option client.',
    )
  }
}
