import { memoryDriver, type Driver } from 'unifrost'
import type { Publish } from './publisher.js'
import { StartError } from './settings.js'

/** A broker: the driver that reads from it, and a function to publish to it. */
export interface Broker {
  name: string
  driver: Driver
  publish: Publish
  /** Ends publishing. The Streamer closes the driver. */
  close(): Promise<void>
}

/** Keeps the demo's subjects apart from others on the broker. */
const subject = (topic: string): string => `unifrost-demo.${topic}`

export async function openBroker(natsUrl: string | undefined): Promise<Broker> {
  return natsUrl ? openNats(natsUrl) : openMemory()
}

function openMemory(): Broker {
  const driver = memoryDriver()
  return {
    name: 'in-memory broker',
    driver,
    publish: (topic, payload) => void driver.publish(topic, payload),
    close: () => Promise.resolve(),
  }
}

async function openNats(url: string): Promise<Broker> {
  // Loaded only here, so that the demo needs no broker's library without NATS_URL.
  const { natsDriver } = await import('unifrost/drivers/nats')
  const driver = await explained(() => natsDriver(url, { address: subject }))
  try {
    await explained(() => driver.connect())
    // Publishes on another connection, so that every message goes through the broker and back.
    const connection = await explained(() => connectPublisher(url))
    return {
      name: `NATS at ${connection.getServer()}`,
      driver,
      publish: (topic, payload) => connection.publish(subject(topic), payload),
      // `drain` would wait for a broker that may be gone.
      close: () => connection.close(),
    }
  } catch (error) {
    await driver.close()
    throw error
  }
}

/** The driver has checked the address before, so every part of it can be read. */
async function connectPublisher(url: string) {
  const { connect } = await import('@nats-io/transport-node')
  const urls = url.split(',').map((server) => {
    const text = server.trim()
    return new URL(text.includes('://') ? text : `nats://${text}`)
  })
  const { username = '', password = '' } = urls.find((each) => each.username) ?? {}
  const [name, secret] = [decodeURIComponent(username), decodeURIComponent(password)]
  return connect({
    servers: urls.map(({ hostname, port }) => `${hostname}:${port || '4222'}`),
    maxReconnectAttempts: -1,
    ...(secret ? { user: name, pass: secret } : name && { token: name }),
    ...(urls.some(({ protocol }) => protocol === 'tls:') && { tls: {} }),
  })
}

/** Turns an error of the driver or the library into a StartError, which is one line. */
async function explained<T>(doing: () => T | Promise<T>): Promise<T> {
  try {
    return await doing()
  } catch (error) {
    throw new StartError((error as Error).message, { cause: error })
  }
}
