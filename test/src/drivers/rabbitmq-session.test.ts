import { EventEmitter } from 'node:events'
import { rabbitmqDriver } from '../../../src/drivers/rabbitmq.js'
import type { RabbitConnection } from '../../../src/drivers/rabbitmq.js'
import { recordingSink } from '../../../src/testing/index.js'
import { until } from '../../support/until.js'

/** A broker that does what it is told in order, and answers bindings when the test lets it. */
class SlowBroker {
  /** The routing keys that are bound. */
  readonly bound = new Set<string>()
  asked = 0
  unbound = 0
  private answers: (() => void)[] | undefined = []

  get connection(): RabbitConnection {
    const connection = Object.assign(new EventEmitter(), {
      createChannel: async () => this.channel(),
      close: async () => undefined,
    })
    return connection as unknown as RabbitConnection
  }

  answer(): void {
    for (const answer of this.answers ?? []) answer()
    this.answers = undefined
  }

  private channel() {
    return Object.assign(new EventEmitter(), {
      assertExchange: async () => ({}),
      checkExchange: async () => ({}),
      assertQueue: async () => ({}),
      deleteQueue: async () => ({}),
      get: async () => false,
      consume: async () => ({ consumerTag: 'tag' }),
      cancel: async () => ({}),
      close: async () => undefined,
      bindQueue: async (_queue: string, _exchange: string, key: string) => {
        this.asked++
        this.bound.add(key)
        await new Promise<void>((resolve) => {
          if (this.answers === undefined) resolve()
          else this.answers.push(resolve)
        })
      },
      unbindQueue: async (_queue: string, _exchange: string, key: string) => {
        this.unbound++
        this.bound.delete(key)
      },
    })
  }
}

test('a topic that is asked for again after a late answer stays bound', async () => {
  // subscribe a ─ bind a ─────── late, rejected ──────────────── bound ─ unbind a
  // subscribe a again ──────────────────────── bind a ────────── bound ─ and must stay so
  const broker = new SlowBroker()
  const driver = rabbitmqDriver(broker.connection, { subscribeTimeout: 50 })
  const other = driver.subscribe('other', recordingSink())
  const late = driver.subscribe('a', recordingSink())
  await expect(Promise.allSettled([other, late])).resolves.toEqual([
    expect.objectContaining({ status: 'rejected' }),
    expect.objectContaining({ status: 'rejected' }),
  ])
  const again = driver.subscribe('a', recordingSink())
  await until('the second binding to be asked for', () => broker.asked === 3)
  broker.answer()
  const subscription = await again
  // What nobody asked for again is let go, and shows that the first time is dealt with.
  await until('the other to be let go', () => broker.unbound > 0)
  expect([...broker.bound]).toEqual(['a'])
  await subscription.close()
  await driver.close()
})
