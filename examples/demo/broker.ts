import { memoryDriver, type Driver } from 'unifrost'
import type { Publish } from './publisher.js'
import { StartError } from './settings.js'

/** A broker: the driver that reads from it, and a way of our own to publish to it. */
export interface Broker {
  name: string
  driver: Driver
  publish: Publish
  /** Ends the publishing. The driver is closed by the Streamer that it was given to. */
  close(): Promise<void>
}

/** Keeps the demo's subjects apart from whatever else is on the broker. */
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
  // Loaded only here: without NATS_URL, the demo runs without a broker's library.
  const { natsDriver } = await import('unifrost/drivers/nats')
  const driver = await explained(() => natsDriver(url, { address: subject }))
  try {
    await explained(() => driver.connect())
    // A connection of its own, so that every message really goes through the broker and back.
    const connection = await explained(() => connectPublisher(url))
    return {
      name: `NATS at ${connection.getServer()}`,
      driver,
      publish: (topic, payload) => connection.publish(subject(topic), payload),
      // Not `drain`, which waits for a broker that may be gone.
      close: () => connection.close(),
    }
  } catch (error) {
    await driver.close()
    throw error
  }
}

/** The driver has looked at the address before, so every part of it can be read. */
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

/** What goes wrong with the broker is told in its own words, without a stack. */
async function explained<T>(doing: () => T | Promise<T>): Promise<T> {
  try {
    return await doing()
  } catch (error) {
    throw new StartError((error as Error).message, { cause: error })
  }
}
