import { connect } from '@nats-io/transport-node'
import type { NatsServer } from '../../test/brokers/nats.js'
import { startNats } from '../../test/brokers/nats.js'
import { requireCommand } from '../../test/brokers/apt.js'
import type { Contender } from '../contenders.js'
import { unifrost, unifrostVia } from '../contenders.js'
import type { Order, Running, Shape } from '../node-contender.js'

/** From a publisher through a NATS server and unifrost's driver to the clients. */
export const natsContender: Contender = {
  ...unifrost,
  name: 'unifrost, from NATS',
  prepare: async () =>
    void (await requireCommand('nats-server', 'nats-server', 'leave it out with --only')),
  start,
}

async function start(shape: Shape): Promise<Running> {
  const nats = await startNats()
  try {
    return await between(nats, shape)
  } catch (error) {
    await nats.stop()
    throw error
  }
}

async function between(nats: NatsServer, shape: Shape): Promise<Running> {
  const server = await unifrostVia('nats', { NATS_URL: nats.url }).start(shape)
  const publisher = await connect({ servers: nats.url })
  const running: Running = {
    port: server.port,
    afterBurst: async () => undefined,
    async publish({ messages, bytes, burst }: Order) {
      await server.mark()
      const began = performance.now()
      for (let sent = 0; sent < messages; sent += burst) {
        const some = Math.min(burst, messages - sent)
        for (let i = 0; i < some; i++) publisher.publish('topic0', 'x'.repeat(bytes))
        await publisher.flush()
        // One by one, or the server would find several at once in one turn.
        await running.afterBurst!((sent + some) * shape.clients)
      }
      return { owed: messages * shape.clients, us: (performance.now() - began) * 1_000 }
    },
    usage: (collect) => server.usage(collect),
    mark: () => server.mark(),
    async stop() {
      await server.stop()
      await publisher.close()
      await nats.stop()
    },
  }
  return running
}
