// What the contract suite has to know of a driver and its broker.
import { BrokerProcess, freePort, tcpLink } from 'unifrost/testing'
import type { BrokerCommand, DriverHarness } from 'unifrost/testing'
import { tinyDriver } from './driver.js'
import { Link } from './link.js'

/** Starts a broker with a link before it, and gives the harness and how to stop all of it. */
export async function tinyHarness(
  make: typeof tinyDriver = tinyDriver,
  more: Partial<BrokerCommand> = {},
): Promise<{ harness: DriverHarness; stop(): Promise<void> }> {
  const port = await freePort()
  const broker = await BrokerProcess.start({
    command: process.execPath,
    args: ['examples/driver-harness/broker.mjs', String(port)],
    port,
    ...more,
  })
  // The drivers connect by way of the link, which can cut, silence and count what goes through.
  const link = await tcpLink(port)
  const address = `127.0.0.1:${link.port}`
  const password = 'open sesame'

  /** Asks the broker past the link, in bounded time, since it may be frozen. */
  async function ask(request: object) {
    const direct = await Link.open(`127.0.0.1:${port}`, 1_000)
    try {
      return await direct.ask(request, 1_000)
    } finally {
      await direct.close()
    }
  }

  const harness: DriverHarness = {
    create: () => make(address, { password }),
    async publish(topic, payload) {
      await ask({ publish: topic, data: Buffer.from(payload).toString('base64') })
    },

    // In every way a link or a broker can break.
    restart: () => broker.restart(),
    async freeze() {
      await broker.freeze()
      return async () => broker.thaw()
    },
    cut: () => link.cut(),
    stall: () => link.stall(),
    refuse: () => link.refuse(),

    // What the broker knows of the drivers: everything, and what it holds for open topics.
    async leftovers() {
      const { connections = 0, topics = 0 } = await ask({ count: true })
      return connections + topics
    },
    async subscriptions() {
      const { topics = 0 } = await ask({ count: true })
      return topics
    },

    // What has to be refused, with an error that helps.
    badTopics: ['', 'x'.repeat(201)],
    deniedTopic: 'denied.topic',
    unreachable: (nowhere) => make(nowhere),
    badLogin: () => ({
      driver: make(address, { password: 'hunter2' }),
      address,
      secret: 'hunter2',
    }),

    // What there is not, and why: nothing is left out in silence.
    without: { brought: 'this driver takes addresses only' },
  }

  async function stop(): Promise<void> {
    await link.close()
    await broker.stop()
  }

  return { harness, stop }
}
