import { request } from 'node:http'
import { resolve } from 'node:path'
import { until } from '../../src/testing/index.js'
import { BrokerProcess, freePort, takesConnections } from './process.js'

/**
 * A stand-in for Azure Service Bus, see azure-service-bus-peer.mjs: it forgets everything when it
 * is killed, which the real one does not.
 */
export interface ServiceBusPeer {
  readonly port: number
  readonly adminPort: number
  readonly process: BrokerProcess
  restart(): Promise<void>
  state(): Promise<{ subscriptions: string[]; connections: number }>
  publish(topic: string, payload: Uint8Array, properties?: Record<string, string>): Promise<void>
  /** The same for many at once, in order. */
  publishAll(topic: string, texts: readonly string[]): Promise<void>
  /** Deletes a topic, or a subscription by its whole path. */
  delete(path: string): Promise<void>
  stop(): Promise<void>
}

export async function startServiceBusPeer(): Promise<ServiceBusPeer> {
  const [port, adminPort] = [await freePort(), await freePort()]
  const broker = await BrokerProcess.start({
    command: process.execPath,
    args: [resolve('test/brokers/azure-service-bus-peer.mjs')],
    port,
    env: { PORT: String(port), ADMIN_PORT: String(adminPort) },
  })
  const ready = () => until('the HTTP interface', () => takesConnections(adminPort))
  await ready()

  function ask(method: string, path: string, body?: Uint8Array, headers = {}): Promise<string> {
    return new Promise((resolve, reject) => {
      const host = '127.0.0.1'
      const signal = AbortSignal.timeout(5_000)
      const options = { host, port: adminPort, method, path, headers, agent: false, signal }
      const asked = request(options, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        response.on('error', reject)
        response.on('end', () => resolve(text))
      })
      asked.on('error', reject)
      asked.end(body)
    })
  }

  return {
    port,
    adminPort,
    process: broker,
    async restart() {
      await broker.restart()
      await ready()
    },
    state: async () =>
      JSON.parse(await ask('GET', '/state')) as { subscriptions: string[]; connections: number },
    async publish(topic, payload, properties = {}) {
      const headers = { 'x-properties': JSON.stringify(properties) }
      await ask('POST', `/publish/${encodeURIComponent(topic)}`, payload, headers)
    },
    async publishAll(topic, texts) {
      const body = Buffer.from(JSON.stringify(texts))
      await ask('POST', `/publish-all/${encodeURIComponent(topic)}`, body)
    },
    delete: async (path) => void (await ask('DELETE', `/${path}`)),
    stop: () => broker.stop(),
  }
}
