import { randomBytes } from 'node:crypto'
import { createServer } from 'node:net'
import type { Socket } from 'node:net'
import type { BrokerDriver } from '../driver-kit/index.js'
import type { BrokerOutage, Driver } from '../driver.js'
import type { OptionTable } from '../option-checks.js'
import { checkOptions, count, given, methods, number, shape, text } from '../option-checks.js'
import { checkAddress, listen } from './address.js'
import { HubHistory } from './history.js'
import { Leases } from './leases.js'
import { LogMember } from './log-member.js'
import { VERSION } from './packets.js'
import { Peer } from './peer.js'
import type { Answer } from './peer.js'
import type { ProcessName } from './process-of.js'
import { ClientEntries } from './client-entries.js'
import { HubTopics } from './topics.js'

/** What `startHub` takes. Durations are in milliseconds. */
export interface HubOptions {
  /** The path of the Unix socket to listen on; on Windows the name of a pipe. */
  address: string
  /** The driver of the broker. The hub closes it. */
  driver: Driver
  /** Bounds of the messages that the hub keeps, for all workers together. */
  history?: {
    /** Bytes, overhead included. Default: 64 MiB. */
    maxBytes?: number
    /** How long a message is kept. Give at least the workers' own `history.maxAge`. Default: 120,000. */
    maxAge?: number
  }
  /**
   * How long a topic stays open on the broker that no worker has open, so that a worker can be
   * replaced without a loss. Default: 120,000. 0 closes it at once.
   */
  topicLinger?: number
}

/** A hub that runs. */
export interface Hub {
  readonly address: string
  /** What it has in hand. */
  stats(): HubStats
  /** Lets the workers go, closes the driver, and removes the socket. Calling it again does nothing. */
  close(): Promise<void>
}

/** What a hub has in hand. */
export interface HubStats {
  /** Workers that read its log. */
  workers: number
  /** Topics that are open on the broker, lingering ones included. */
  topics: number
  /** Clients in its directory. */
  clients: number
  history: { messages: number; bytes: number }
}

/** Checks the options beside address and driver. */
export const hubTable: OptionTable = {
  history: shape({ maxBytes: count(1), maxAge: number(1, 2 ** 31 - 1) }),
  topicLinger: number(0, 2 ** 31 - 1),
}

/** How often old messages are let go where no new ones come, in milliseconds. */
const TRIM_EVERY = 5_000

/**
 * Starts a hub: the one process of a machine that has the broker's connections, keeps the messages, and
 * remembers the clients of all workers. `hubDriver` and `hubDirectory` are the workers' ends.
 *
 * @throws OptionsError; Error if the address is in use or can't be listened on.
 */
export async function startHub(options: HubOptions): Promise<Hub> {
  checkOptions('startHub', options, {
    address: given(text),
    driver: given(methods('subscribe', 'close')),
    ...hubTable,
  })
  const { address } = options
  checkAddress('startHub', address)
  const hub = new HubServer(options)
  await listen(hub.server, address)
  return {
    address,
    stats: () => hub.stats(),
    close: () => (hub.closing ??= hub.close()),
  }
}

class HubServer {
  readonly server = createServer((socket) => this.#connected(socket))
  closing: Promise<void> | undefined
  /** Names this hub's numbering, and what its directory remembers. Another life has another one. */
  readonly #epoch = randomBytes(6).toString('hex')
  /** What the workers sign positions with. */
  readonly #secret = randomBytes(32).toString('base64url')
  readonly #driver: Driver
  readonly #history: HubHistory
  readonly #topics: HubTopics
  readonly #clients = new ClientEntries(this.#epoch)
  readonly #leases = new Leases()
  readonly #members = new Map<LogMember, Peer>()
  readonly #sockets = new Set<Socket>()
  readonly #trimming: NodeJS.Timeout
  #flushing: NodeJS.Immediate | undefined

  constructor({ driver, history = {}, topicLinger = 120_000 }: HubOptions) {
    const { maxBytes = 64 * 2 ** 20, maxAge = 120_000 } = history
    this.#driver = driver
    this.#history = new HubHistory({ maxBytes, maxAge })
    this.#topics = new HubTopics(driver, this.#history, topicLinger, () => this.#flushSoon())
    this.#trimming = setInterval(() => this.#history.trim(), TRIM_EVERY)
    this.#trimming.unref()
    if (driver.brokerState !== undefined) driver.brokerState.onChange = () => this.#tellBroker()
  }

  stats(): HubStats {
    const { length: messages, bytes } = this.#history
    return {
      workers: this.#members.size,
      topics: this.#topics.size,
      clients: this.#clients.size,
      history: { messages, bytes },
    }
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()))
    clearInterval(this.#trimming)
    clearImmediate(this.#flushing)
    for (const socket of this.#sockets) socket.destroy()
    this.#clients.close()
    this.#leases.close()
    await this.#topics.close()
    await this.#driver.close()
    await closed
  }

  #connected(socket: Socket): void {
    this.#sockets.add(socket)
    const peer = new Peer(socket)
    // A worker that breaks off in the middle of a packet has died; `close` follows.
    socket.on('error', () => undefined)
    socket.on('close', () => this.#sockets.delete(socket))
    const greet = (args: Record<string, unknown>) => {
      const version = Number(args['version'])
      if (version === VERSION) return
      throw new Error(
        `The hub speaks version ${VERSION} of its protocol, this worker ${version}. ` +
          'Run the same version of unifrost in both.',
      )
    }
    peer.answerWith({
      log: (args) => {
        greet(args)
        return this.#log(socket, peer, args)
      },
      directory: (args) => {
        greet(args)
        return this.#directory(socket, peer, args)
      },
    })
  }

  /** A worker that reads the log. */
  #log(socket: Socket, peer: Peer, args: Record<string, unknown>): unknown {
    const encoding = this.#driver.encoding ?? 'utf8'
    if (args['encoding'] !== encoding) {
      throw new Error(
        `The hub's driver has the encoding ${encoding}, and this worker ${String(args['encoding'])}. ` +
          `Give hubDriver encoding: '${encoding}'.`,
      )
    }
    const member = new LogMember(peer, this.#history, this.#topics)
    this.#members.set(member, peer)
    socket.on('drain', () => member.flush())
    socket.on('close', () => {
      this.#members.delete(member)
      member.end()
    })
    peer.answerWith(this.#logAnswers(member))
    const names = args['topics'] as string[]
    const topics = args['epoch'] === this.#epoch ? member.resume(Number(args['cursor']), names) : []
    this.#flushSoon()
    return {
      epoch: this.#epoch,
      secret: this.#secret,
      position: this.#history.last,
      topics,
      broker: this.#outage,
    }
  }

  #logAnswers(member: LogMember): Record<string, Answer> {
    return {
      open: ({ topic }) => member.open(String(topic)),
      close: ({ topic }) => member.close(Number(topic)),
      end: () => {
        // What was read before this is sent before the answer.
        member.flush()
        return this.#history.last
      },
      read: ({ topics, after, through }, call) =>
        member.read(call, topics as string[], Number(after), Number(through)),
      publish: ({ topic, text, base64 }) =>
        this.#publish(String(topic), (text ?? Buffer.from(String(base64), 'base64')) as string),
      connect: () => (this.#driver as Partial<BrokerDriver>).connect?.(),
      ping: () => undefined,
    }
  }

  /** A worker that uses the directory. */
  #directory(socket: Socket, peer: Peer, args: Record<string, unknown>): unknown {
    const server = String(args['server'])
    this.#leases.enter(server, Number(args['lease']), args['process'] as ProcessName, peer)
    socket.on('close', () => this.#leases.lost(server, peer))
    peer.answerWith({
      renew: () => {
        if (!this.#leases.renew(server, peer)) throw new Error('The lease was over.')
      },
      leave: () => this.#leases.leave(server),
      servers: () => this.#leases.names(),
      send: ({ to, packet }) => (this.#leases.send(String(to), String(packet)) ? 1 : 0),
      get: ({ id }) => this.#clients.get(String(id)),
      put: ({ entry, revision, ttl }) =>
        this.#clients.put(
          entry as { id: string; owner: string | undefined; text: string },
          revision as string | undefined,
          Number(ttl),
        ),
      delete: ({ id, revision }) => this.#clients.delete(String(id), String(revision)),
      idsOf: ({ owner }) => this.#clients.idsOf(String(owner)),
    })
    return { memory: this.#epoch }
  }

  get #outage(): BrokerOutage | undefined {
    return this.#driver.brokerState?.down
  }

  #tellBroker(): void {
    for (const peer of this.#members.values()) peer.tell('broker', { down: this.#outage })
  }

  async #publish(topic: string, payload: string | Uint8Array): Promise<unknown> {
    const driver = this.#driver as Driver & {
      publish?: (topic: string, payload: string | Uint8Array) => unknown
    }
    if (driver.publish === undefined) {
      throw new Error("The hub's driver does not publish. Publish on its broker.")
    }
    return driver.publish(topic, payload)
  }

  /** Messages of one turn go to a worker in one write. */
  #flushSoon(): void {
    this.#flushing ??= setImmediate(() => {
      this.#flushing = undefined
      for (const member of this.#members.keys()) member.flush()
    })
  }
}
