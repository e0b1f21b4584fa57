import { until } from '../../../test/support/until.js'
import { startBroker } from '../brokers.js'
import { callJson } from '../../kit/call.js'
import type { Context } from '../context.js'
import type { Row } from '../../kit/row.js'
import { Trial, wholeness } from '../../kit/row.js'
import { SingleServerStage } from '../single-server-stage.js'

/** Every callback of the application throws: `authorize`, `verify`, logger, listeners, driver. */
export async function callbacks({ seed }: Context): Promise<Row> {
  const trial = new Trial()
  const stage = await SingleServerStage.set({
    name: 'callbacks',
    broker: await startBroker('memory'),
    seed,
    clients: 20,
    topics: 8,
    each: 4,
    rate: 200,
    config: { throwing: true, options: { retry: { min: 50, max: 200 } } },
  })
  try {
    stage.publishOn()
    await until('messages to flow', () => stage.ledger.received > 1_000)
    const origin = `http://127.0.0.1:${stage.server.port}`
    const made = await callJson(`${origin}/clients`, 'POST')
    const add = (topic: string) =>
      callJson(`${origin}/subscriptions`, 'POST', { client_id: made.body.client_id, add: [topic] })
    const statuses: string[] = []
    const failing = (callback: string) => () => callJson(`${origin}/failing/${callback}`, 'GET')
    for (const [what, ask, expected] of [
      ['verify', () => callJson(`${origin}/verified?token=throws`, 'GET'), [500]],
      ...['topics', 'id', 'principal', 'owner', 'expires'].map(
        (callback) => [callback, failing(callback), [500]] as const,
      ),
      ['authorize', () => add('authorize.throws'), [500]],
      ['driver throws', () => add('throws.topic'), [500, 502]],
      ['driver rejects', () => add('rejects.topic'), [500, 502]],
      ['driver throws', () => callJson(`${origin}/auto?topic=throws.auto`, 'GET'), [500, 502]],
    ] as const) {
      const { status, body } = await ask()
      statuses.push(`${what} ${status}`)
      const right = (expected as readonly number[]).includes(status)
      trial.must(right, `${what} was answered with ${status}`)
      const text = JSON.stringify(body)
      trial.must(!text?.includes('secret'), `${what} shows what was thrown: ${text}`)
    }
    const failed = stage.addClient('auto', true, ['fails.topic'])
    failed.begin()
    await until('subscription-failure', () => stage.ledger.failures > 0)
    stage.dismiss(failed)
    const dropped = stage.clients.filter(({ connects }) => connects !== 1).length
    trial.must(dropped === 0, `${dropped} other streams noticed`)
    // Listeners of connect and disconnect throw here as well.
    stage.proxy.cutAll()
    await stage.settle()
    const { unhandled } = await stage.server.mustAsk({ do: 'stats' })
    trial.must(unhandled === 0, `${unhandled} unhandled rejections or exceptions`)
    trial.must(stage.server.stderr === '', `it complained: ${stage.server.stderr.slice(0, 500)}`)
    trial.mustBeWhole(stage.ledger)
    return {
      promise: 'What the application throws fails the one request and nothing else',
      how:
        'verify, authorize, topics, id, principal, owner, expires, logger, listeners and the driver ' +
        'throw, before others and while they stream',
      figure:
        `${statuses.join(', ')}, subscription-failure in the stream; ${unhandled} unhandled; ` +
        `${dropped} other streams noticed; ${wholeness(stage.ledger)}`,
      problems: trial.problems,
    }
  } finally {
    await stage.strike()
  }
}
