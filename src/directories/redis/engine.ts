import { randomUUID } from 'node:crypto'
import type { Directory, DirectoryHost, Entry, Outcome, Revision, Stored } from '../../directory.js'
import { DirectoryUnavailableError } from '../../errors.js'
import { ask, redisLink } from '../../brokers/redis/connect.js'
import type { RedisLink } from '../../brokers/redis/connect.js'
import type { RedisConnection, RedisServer } from '../../brokers/redis/connection.js'
import { codeOf, isReply } from '../../brokers/redis/replies.js'
import { noAnswer, within } from '../../driver-kit/index.js'
import { RequestReply } from '../toolbox/request-reply.js'
import type { LeasedEngine } from '../toolbox/lease-keeper.js'
import { LeaseKeeper } from '../toolbox/lease-keeper.js'
import type { Script } from './scripts.js'
import { DELETE, MEMBERS, PUT, RENEW } from './scripts.js'

export interface RedisSettings {
  prefix: string
  lease: number
  timeout: number
  connectTimeout: number
}

const OLDEST = 6

/** See `redisDirectory`. */
export class RedisEngine implements Directory, LeasedEngine {
  readonly lease: number
  readonly #requests = new RequestReply((server, packet) => this.#publish(server, packet))
  readonly #leaseKeeper = new LeaseKeeper(this)
  /** Two connections: on one that has subscribed, Redis takes no other commands. */
  readonly #commands: RedisLink
  readonly #messages: RedisLink
  #host: DirectoryHost | undefined

  constructor(
    private readonly server: RedisServer,
    private readonly settings: RedisSettings,
  ) {
    const { lease, timeout, connectTimeout } = settings
    this.lease = lease
    const timing = { connectTimeout, pingTimeout: timeout }
    this.#commands = redisLink(server, timing)
    this.#messages = redisLink(server, { ...timing, pingInterval: lease / 3 })
  }

  open(host: DirectoryHost): Promise<void> {
    this.#host = host
    return this.#leaseKeeper.open(host)
  }

  async get(id: string): Promise<Stored | undefined> {
    let value
    try {
      value = (await this.#call(['GET', this.#entry(id)])) as Buffer | null
    } catch (error) {
      if (!/WRONGTYPE/.test(String((error as Error).cause))) throw error
      value = Buffer.from('foreign')
    }
    if (value === null) return undefined
    const text = value.toString()
    const end = text.indexOf('\n')
    // Without a revision, it was written by somebody else.
    return end < 0
      ? { text: '', revision: text }
      : { text: text.slice(end + 1), revision: text.slice(0, end) }
  }

  async put(
    { id, owner, text }: Entry,
    revision: Revision | undefined,
    ttl: number,
  ): Promise<Revision | undefined> {
    const next = randomUUID()
    const keys = [this.#entry(id), this.#owned(owner)]
    const owned = owner === undefined ? '0' : '1'
    const life = String(Math.ceil(ttl))
    const done = await this.#run(PUT, keys, [revision ?? '', next, text, life, id, owned])
    return Number(done) === 1 ? next : undefined
  }

  async delete({ id, owner }: Omit<Entry, 'text'>, revision: Revision): Promise<boolean> {
    const keys = [this.#entry(id), this.#owned(owner)]
    const owned = owner === undefined ? '0' : '1'
    return Number(await this.#run(DELETE, keys, [revision, id, owned])) === 1
  }

  async idsOf(owner: string): Promise<string[]> {
    return texts(await this.#run(MEMBERS, [this.#owned(owner)], []))
  }

  async servers(): Promise<string[]> {
    return texts(await this.#run(MEMBERS, [this.#servers], []))
  }

  async ask(server: string, message: string, timeout: number): Promise<Outcome> {
    this.#leaseKeeper.check()
    return this.#requests.ask(this.#host!.server, server, message, timeout)
  }

  async close(): Promise<void> {
    if (this.#leaseKeeper.isClosed) return
    if (this.#host !== undefined) {
      const leave = this.#call(['ZREM', this.#servers, this.#host.server])
      // Where Redis can't be told, the lease ends by itself.
      await leave.catch((error: unknown) => void error)
    }
    await Promise.all([this.#leaseKeeper.close(), this.#commands.close(), this.#messages.close()])
  }

  get #servers(): string {
    return `${this.settings.prefix}servers`
  }

  #entry(id: string): string {
    return `${this.settings.prefix}client:${id}`
  }

  #owned(owner: string | undefined): string {
    return `${this.settings.prefix}owner:${owner ?? ''}`
  }

  #channel(server: string): string {
    return `${this.settings.prefix}server:${server}`
  }

  async enter(host: DirectoryHost): Promise<{ memory: string; lost: Promise<unknown> }> {
    const { timeout } = this.settings
    const [commands, messages] = await Promise.all([this.#commands.get(), this.#messages.get()])
    const info = String(await this.#reply(commands, ['INFO', 'server']))
    const version = /^redis_version:(\d+)[^\r\n]*/m.exec(info)
    if (version === null || Number(version[1]) < OLDEST) {
      const found = version?.[0].replace('redis_version:', 'Redis ') ?? 'of an unknown version'
      throw new Error(
        `Redis at ${this.server.where} is ${found}. redisDirectory needs Redis ${OLDEST} or newer.`,
      )
    }
    const receive = (packet: Buffer) => {
      this.#messages.heard()
      this.#requests.receive(packet.toString(), (message) => host.receive(message))
    }
    const subscribing = messages.subscribe(this.#channel(host.server), receive)
    const outcome = await within(subscribing, timeout)
    if (outcome === 'late') {
      this.#messages.lose(messages, noAnswer(timeout))
      throw new Error(`Redis at ${this.server.where} did not answer within ${timeout} ms.`)
    }
    if (outcome === 'failed') await subscribing.catch((error: unknown) => this.#refused(error))
    await this.#renewOn(commands, host)
    const memory = /^run_id:([^\r\n]*)/m.exec(info)?.[1] ?? ''
    return { memory, lost: Promise.race([commands.lost, messages.lost]) }
  }

  async renew(host: DirectoryHost): Promise<void> {
    await this.#renewOn(this.#connected(), host)
  }

  async #renewOn(connection: RedisConnection, { server }: DirectoryHost): Promise<void> {
    await this.#runOn(connection, RENEW, [this.#servers], [server, String(this.lease)])
  }

  /** @returns how many servers have got it. */
  async #publish(server: string, letter: string): Promise<number> {
    return Number(await this.#call(['PUBLISH', this.#channel(server), letter]))
  }

  async #run(script: Script, keys: string[], args: string[]): Promise<unknown> {
    return this.#do((connection) => this.#runOn(connection, script, keys, args))
  }

  async #runOn(
    connection: RedisConnection,
    { sha, text }: Script,
    keys: string[],
    args: string[],
  ): Promise<unknown> {
    const rest = [String(keys.length), ...keys, ...args]
    try {
      return await this.#reply(connection, ['EVALSHA', sha, ...rest])
    } catch (error) {
      if (!isReply(error) || !error.message.startsWith('NOSCRIPT')) throw error
      return this.#reply(connection, ['EVAL', text, ...rest])
    }
  }

  #call(command: readonly string[]): Promise<unknown> {
    return this.#do((connection) => this.#reply(connection, command))
  }

  async #do(call: (connection: RedisConnection) => Promise<unknown>): Promise<unknown> {
    this.#leaseKeeper.check()
    try {
      return await call(this.#connected())
    } catch (error) {
      throw new DirectoryUnavailableError(error)
    }
  }

  #connected(): RedisConnection {
    const connection = this.#commands.current
    if (connection === undefined) throw new Error('The connection to Redis was lost.')
    return connection
  }

  async #reply(connection: RedisConnection, command: readonly string[]): Promise<unknown> {
    try {
      return await ask(this.#commands, connection, command, this.settings.timeout)
    } catch (error) {
      return this.#refused(error)
    }
  }

  /** Says what to do about a command that Redis refuses. */
  #refused(error: unknown): never {
    const advice = isReply(error) ? ADVICE[codeOf(error)] : undefined
    if (advice === undefined) throw error
    const { message } = error as Error
    throw new Error(
      `Redis at ${this.server.where} refuses what the directory needs (${message}). ${advice}`,
      { cause: error },
    )
  }
}

const REPLICA = 'It is a replica: give the address of the master.'
const CLUSTER = 'On a cluster give a prefix with a hash tag, and the node of its slot.'

/** Where the line of the ACL stands. */
const PERMISSIONS_PAGE = 'https://github.com/unifrost/unifrost/blob/main/docs/scaling.md#redis'

/** What to do, by the code of a reply. */
const ADVICE: Readonly<Record<string, string>> = {
  NOPERM: `Allow it in the ACL of the user: ${PERMISSIONS_PAGE}`,
  OOM: 'It is full: raise maxmemory, or let it evict something else.',
  READONLY: REPLICA,
  MASTERDOWN: REPLICA,
  MOVED: CLUSTER,
  CROSSSLOT: CLUSTER,
  ASK: CLUSTER,
}

function texts(reply: unknown): string[] {
  return (reply as Buffer[]).map((item) => item.toString())
}
