import type { Meter } from '@opentelemetry/api'
import express from 'express'
import client, { Registry } from 'prom-client'
import supertest from 'supertest'
import { memoryDriver, OptionsError, Streamer } from 'unifrost'
import { autoClient, unifrostExpress } from 'unifrost/express'
import { instruments, metrics } from 'unifrost/metrics'
import { Stage, turns } from '../../support/stage.js'

/** The names are what dashboards and alerts are made of: one that changes breaks them. */
const NAMES = [
  'unifrost_broker_up',
  'unifrost_catch_up_seconds',
  'unifrost_clients',
  'unifrost_connections',
  'unifrost_delivery_seconds',
  'unifrost_directory_up',
  'unifrost_disconnects_total',
  'unifrost_gaps_total',
  'unifrost_history_bytes',
  'unifrost_history_evictions_total',
  'unifrost_history_messages',
  'unifrost_loop_delay_seconds',
  'unifrost_messages_lost_total',
  'unifrost_messages_refused_total',
  'unifrost_received_total',
  'unifrost_refused_total',
  'unifrost_resumes_total',
  'unifrost_sent_total',
  'unifrost_stalled_bytes',
  'unifrost_stalled_connections',
  'unifrost_subscription_failures_total',
  'unifrost_topics',
]

let stage: Stage
afterEach(() => stage.dispose())

const closing = async <T>(
  making: Promise<T & { close(): void }>,
  use: (it: T) => Promise<void>,
) => {
  const it = await making
  try {
    await use(it)
  } finally {
    it.close()
  }
}

test('the metrics have the names that the docs list', async () => {
  stage = new Stage()
  await closing(metrics(stage.streamer), async ({ register }) => {
    const all = await register.getMetricsAsJSON()
    expect(all.map(({ name }) => name).sort()).toEqual(NAMES)
    for (const { help } of all) expect(help).toMatch(/\.$/)
  })
})

test('a scrape says what the Streamer has done', async () => {
  stage = new Stage()
  await closing(metrics(stage.streamer), async ({ text, contentType }) => {
    expect(contentType).toMatch(/^text\/plain; version=/)
    await stage.client('one', 'a')
    const page = await stage.connect('one')
    stage.driver.publish('a', '1')
    await turns()
    const { lastEventId } = page
    page.cut()
    stage.driver.publish('a', '2')
    await turns()
    await stage.connect('one', lastEventId)
    await turns()
    const lines = (await text()).split('\n')
    expect(lines).toEqual(
      expect.arrayContaining([
        'unifrost_connections 1',
        'unifrost_clients 1',
        'unifrost_topics 1',
        'unifrost_received_total 2',
        'unifrost_sent_total 2',
        'unifrost_resumes_total{result="exact"} 1',
        'unifrost_resumes_total{result="lost"} 0',
        'unifrost_disconnects_total{reason="dropped"} 1',
        'unifrost_delivery_seconds_count 2',
        'unifrost_catch_up_seconds_count 1',
      ]),
    )
    expect(lines.find((line) => /^unifrost_history_bytes [1-9]/.test(line))).toBeDefined()
    expect(lines.filter((line) => /^unifrost_directory_up /.test(line))).toEqual([])
  })
})

test('labels name neither topics nor clients, however many there are', async () => {
  stage = new Stage()
  await closing(metrics(stage.streamer), async ({ text }) => {
    await stage.client('who-is-it', 'what-is-it', 'other')
    await stage.connect('who-is-it')
    stage.driver.publish('what-is-it', 'x')
    await turns()
    const scraped = await text()
    expect(scraped).not.toMatch(/who-is-it|what-is-it/)
    const labels = [...scraped.matchAll(/\{(\w+)=/g)].map(([, label]) => label)
    expect([...new Set(labels)].sort()).toEqual(['le', 'reason', 'result'])
  })
})

test('a request that is refused counts once, under the code of its error', async () => {
  stage = new Stage()
  await closing(metrics(stage.streamer), async ({ text }) => {
    await stage.connect('nobody')
    const app = express()
    app.use('/events', autoClient(stage.streamer), unifrostExpress(stage.streamer))
    await supertest(app).get('/events?topic=a').expect(403)
    const refused = (await text()).split('\n').filter((line) => /^unifrost_refused/.test(line))
    expect(refused).toEqual([
      'unifrost_refused_total{code="ERR_UNIFROST_NO_CLIENT"} 1',
      'unifrost_refused_total{code="ERR_UNIFROST_FORBIDDEN_TOPIC"} 1',
    ])
  })
})

test('a broker that is away is 0, and 1 when it is back; a driver that cannot tell is left out', async () => {
  stage = new Stage()
  const state = { down: undefined as { since: number; reason: string } | undefined }
  const driver = Object.assign(memoryDriver(), { brokerState: state })
  await using streamer = new Streamer(driver)
  await closing(metrics(streamer), async ({ text }) => {
    expect(await text()).toMatch(/^unifrost_broker_up 1$/m)
    state.down = { since: 0, reason: 'gone' }
    ;(state as { onChange?: () => void }).onChange?.()
    expect(await text()).toMatch(/^unifrost_broker_up 0$/m)
  })
  await closing(metrics(stage.streamer), async ({ text }) => {
    expect(await text()).not.toMatch(/^unifrost_broker_up /m)
  })
})

test('metrics go into the registry that is given, and leave it when they are closed', async () => {
  stage = new Stage()
  const register = new Registry()
  const its = await metrics(stage.streamer, { client, register })
  expect(its.register).toBe(register)
  await expect(metrics(stage.streamer, { client, register })).rejects.toThrow(
    /already been registered/,
  )
  its.close()
  its.close()
  expect(await register.metrics()).toBe('\n')
  ;(await metrics(stage.streamer, { client, register })).close()
})

test.each([
  ['no Streamer', {}, {}],
  ['an unknown option', undefined, { registry: 1 }],
  ['a client that is none', undefined, { client: {} }],
  ['a registry that is none', undefined, { register: {} }],
])('%s is an OptionsError', async (_what, streamer, options) => {
  stage = new Stage()
  const given = (streamer ?? stage.streamer) as Streamer
  await expect(metrics(given, options as never)).rejects.toThrow(OptionsError)
})

/** A meter as an SDK has it, that keeps what it gets. */
function fakeMeter() {
  const values = new Map<string, number>()
  const callbacks = new Set<(result: unknown) => void>()
  const record = (name: string) => (value: number) => void values.set(name, value)
  const named = (name: string) => ({ name, record: record(name) })
  const meter = {
    createObservableGauge: named,
    createObservableCounter: named,
    createHistogram: named,
    addBatchObservableCallback: (callback: (result: unknown) => void) => callbacks.add(callback),
    removeBatchObservableCallback: (callback: (result: unknown) => void) =>
      callbacks.delete(callback),
  }
  const collect = () => {
    const observe = ({ name }: { name: string }, value: number, labels: object) =>
      values.set([name, ...Object.values(labels)].join(' '), value)
    for (const callback of callbacks) callback({ observe })
    return values
  }
  return { meter: meter as unknown as Meter, collect, callbacks }
}

test('OpenTelemetry gets them under the names that Prometheus has', async () => {
  stage = new Stage()
  const { meter, collect, callbacks } = fakeMeter()
  const end = instruments(stage.streamer, meter, { attributes: { app: 'shop' } })
  await stage.client('one', 'a')
  await stage.connect('one')
  stage.driver.publish('a', '1')
  await turns()
  const values = collect()
  expect(values.get('unifrost_connections shop')).toBe(1)
  expect(values.get('unifrost_received_total shop')).toBe(1)
  expect(values.get('unifrost_resumes_total shop exact')).toBe(0)
  expect(values.get('unifrost_delivery_seconds')).toBeGreaterThan(0)
  for (const key of values.keys()) expect(NAMES).toContain(key.split(' ')[0])
  end()
  expect(callbacks.size).toBe(0)
})

test('what is no meter is an OptionsError', () => {
  stage = new Stage()
  expect(() => instruments(stage.streamer, {} as Meter)).toThrow(OptionsError)
  expect(() => instruments(stage.streamer, fakeMeter().meter, { attribute: {} } as never)).toThrow(
    /Did you mean attributes/,
  )
})
