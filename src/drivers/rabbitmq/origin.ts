import { unescape } from 'node:querystring'
import { OptionsError } from '../../errors.js'
import { loadPeer, whenAbsent, shownAddress } from '../../driver-kit/index.js'
import type { RabbitConnect, RabbitConnection, RabbitConnectOptions } from './connection.js'

/** Where connections come from: made with an address or a function, or one of the user's. */
export interface Origin {
  /** The broker's host and port, or what there is instead, for errors. */
  readonly where: string
  readonly vhost: string
  /** Whether the connection is the user's, who made it and will close it. */
  readonly isBrought: boolean
  /** Loads the library, where it is needed. */
  prepare(): Promise<unknown>
  /** @param signal Ends the attempt, and the connection that it makes, when it is aborted. */
  connect(signal: AbortSignal): Promise<RabbitConnection>
}

/**
 * @param heartbeat Seconds, for an address that does not name its own.
 * @throws OptionsError for what is none of the things that the driver takes.
 */
export function originOf(target: unknown, heartbeat: number): Origin {
  if (isConnection(target)) {
    const where = 'the given connection'
    return { where, vhost: '/', isBrought: true, prepare, connect: async () => target }
  }
  if (typeof target === 'function') {
    const where = 'what the given function connects to'
    const connect = async () => connectionFrom(await (target as RabbitConnect)())
    return { where, vhost: '/', isBrought: false, prepare, connect }
  }
  const { url, where, vhost } = addressOf(target, heartbeat)
  const load = () => loadPeer('rabbitmqDriver', 'amqplib', importAmqplib)
  return {
    where,
    vhost,
    isBrought: false,
    prepare: load,
    async connect(signal) {
      const amqplib = await load()
      const clientProperties = { connection_name: 'unifrost' }
      const socket = { signal, clientProperties, noDelay: true }
      return amqplib.connect(url, socket)
    },
  }
}

/** Nothing has to be loaded for a connection that somebody else makes. */
async function prepare(): Promise<void> {}

function isConnection(target: unknown): target is RabbitConnection {
  return (
    typeof (target as Partial<RabbitConnection> | null | undefined)?.createChannel === 'function'
  )
}

function connectionFrom(made: unknown): RabbitConnection {
  if (isConnection(made)) return made
  throw new OptionsError(
    `The function given to rabbitmqDriver gave ${made === null ? 'null' : typeof made}. It has to ` +
      "return a promise of a connection, such as amqplib's connect(address) does.",
  )
}

interface Address {
  url: string | (RabbitConnectOptions & { heartbeat: number })
  where: string
  vhost: string
}

function addressOf(target: unknown, heartbeat: number): Address {
  if (typeof target === 'string') {
    const url = URL.canParse(target) ? new URL(target) : undefined
    const known = url?.protocol === 'amqp:' || url?.protocol === 'amqps:'
    if (!url?.hostname || !known) throw addressError(target)
    if (!url.searchParams.has('heartbeat')) url.searchParams.set('heartbeat', String(heartbeat))
    const port = url.port || (url.protocol === 'amqp:' ? '5672' : '5671')
    // Like amqplib, which takes a % that begins no code as it is.
    const vhost = url.pathname.length > 1 ? unescape(url.pathname.slice(1)) : '/'
    return { url: url.href, where: `${url.hostname}:${port}`, vhost }
  }
  const given = target as RabbitConnectOptions | null | undefined
  if (typeof given?.hostname !== 'string' || given.hostname === '') throw addressError(target)
  const { protocol = 'amqp', vhost = '/' } = given
  if (protocol !== 'amqp' && protocol !== 'amqps') throw addressError(`${String(protocol)}://`)
  const port = given.port ?? (protocol === 'amqp' ? 5672 : 5671)
  const url = { ...given, heartbeat: given.heartbeat ?? heartbeat }
  return { url, where: `${given.hostname}:${port}`, vhost }
}

function addressError(got: unknown): OptionsError {
  return new OptionsError(
    `rabbitmqDriver got ${shownAddress(got)} as the address of RabbitMQ. It takes ` +
      'amqp://host:port or amqps://host:port, { hostname, … }, a connection of amqplib, or a ' +
      'function that makes one.',
  )
}

async function importAmqplib() {
  try {
    return await import('amqplib')
  } catch (error) {
    return whenAbsent('amqplib', error)
  }
}
