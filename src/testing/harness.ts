import type { Driver } from '../driver.js'
import type { Refusal } from './link.js'

/**
 * What a driver's author writes: how to make the driver, how to publish to its broker, and how
 * to break things. Whatever is not there must be named in `without`, with the reason.
 */
export interface DriverHarness {
  /** A new driver, as one more server process would have. The suite closes it. */
  create(): Driver | Promise<Driver>

  /**
   * Publishes one message by a way of its own, not through the driver, and settles when the
   * broker has it. It rejects, in bounded time, if it can't tell whether the broker has it.
   */
  publish(topic: string, payload: Uint8Array): void | Promise<void>

  /**
   * Makes a name of a topic that no other test has, and the topic too if the broker needs
   * that. Default: letters, digits, `.` and `-`.
   */
  topic?(label: string): string | Promise<string>

  /** The longest payload that is tried, in bytes. Default: 1,000,000. */
  maxPayload?: number

  /** How many milliseconds anything may take. Default: 10,000. */
  bound?: number

  /**
   * How many connections a driver makes, at most, in one try to come back with three topics: more
   * than one where each topic tries by itself, or where the library tries several times. Default: 1.
   */
  connectionsPerTry?: number

  /** Kills the broker with SIGKILL and starts it again; settles when it takes connections. */
  restart?(): Promise<void>

  /** Stops the broker as SIGSTOP does; what it returns lets it go on. */
  freeze?(): Promise<() => Promise<void>>

  /** Closes the drivers' connections to the broker. {@link tcpLink} can. */
  cut?(): void | Promise<void>

  /** Lets the drivers' connections go silent, and takes new ones. {@link tcpLink} can. */
  stall?(): void | Promise<void>

  /** Closes the drivers' connections, and refuses and counts new ones. {@link tcpLink} can. */
  refuse?(): Refusal | Promise<Refusal>

  /**
   * Counts all that the drivers have on the broker: connections, queues, consumers, subscriptions.
   * When every driver is closed, it has to be what it was before.
   */
  leftovers?(): number | Promise<number>

  /**
   * Counts what the broker holds for the topics that are open, and nothing else: a subscription, a
   * queue, a binding, a LISTEN. With each topic that is opened on a driver it has to rise, and with
   * each that is closed to fall, while the driver stays open.
   */
  subscriptions?(): number | Promise<number>

  /** Names of topics that this broker can't hold. */
  badTopics?: readonly string[]

  /**
   * Names that mean more to the broker than one topic, which the driver's `kindOf` has to tell. Default:
   * none, and every name is plain.
   */
  special?: { wildcard?: readonly string[]; internal?: readonly string[] }

  /** A topic that the drivers of `create` have no permission to read. */
  deniedTopic?: string

  /**
   * A driver for an address, `host:port`, at which there is no broker. It is called with a port of
   * this machine on which nothing listens, and with a host that does not exist.
   */
  unreachable?(address: string): Driver | Promise<Driver>

  /**
   * What publishes as the driver does, where the drivers of `create` may only read, or read in another
   * form than they publish. Default: a driver of `create`.
   */
  publisher?(): Publisher | Promise<Publisher>

  /** A driver whose credentials the broker refuses. */
  badLogin?(): BadLogin | Promise<BadLogin>

  /** A connection that the user made, and drivers on it. */
  brought?(): Brought | Promise<Brought>

  /**
   * What the error of a refused topic, address or login has to contain, so that it says what to do.
   * Default: an English imperative at the start of a clause, such as "Start it, or correct the
   * address.", or "needs", "must", "has to". Give your own where your errors speak another language.
   */
  advice?: RegExp

  /** What this harness can't do or this broker doesn't have, and why. */
  without?: Partial<Record<Capability, string>>
}

/** A driver that publishes, or what stands before one. */
export type Publisher = Pick<Driver, 'publish' | 'close'>

export interface BadLogin {
  driver: Driver
  /** What the error must name, such as `127.0.0.1:4222`. */
  address: string
  /** The password or token, which neither the error nor its cause may show. */
  secret: string
}

export interface Brought {
  /** A new driver on the connection. The suite closes it. */
  driver(): Driver | Promise<Driver>
  /** Rejects unless the connection still works. It is asked after a driver was closed. */
  check(): Promise<void>
  /**
   * Counts the listeners on the connection, for all events: {@link countListeners} does for an
   * `EventEmitter`. 0 for a connection that has none by nature.
   */
  listeners(): number
  /** Closes the connection. */
  end(): Promise<void>
}

/**
 * What some cases need. Three of them are no members of the harness. They are there unless `without`
 * says why not:
 *
 * - `fanOut`: two drivers of `create` share a broker.
 * - `ownConnection`: a driver of `create` makes its connections itself, and closes them. It does not
 *   where the harness hands it a connection of the user's.
 * - `endsWait`: a driver that waits to connect again ends that wait when it is closed. It can't
 *   where its library waits, and has no way to be told.
 */
export type Capability =
  | 'fanOut'
  | 'ownConnection'
  | 'endsWait'
  | 'restart'
  | 'freeze'
  | 'cut'
  | 'stall'
  | 'refuse'
  | 'leftovers'
  | 'subscriptions'
  | 'badTopics'
  | 'deniedTopic'
  | 'unreachable'
  | 'badLogin'
  | 'brought'

/** The capabilities that a member of the harness stands for. */
export type Member = Exclude<Capability, 'fanOut' | 'ownConnection' | 'endsWait'>

const MEMBERS: readonly Member[] = [
  'restart',
  'freeze',
  'cut',
  'stall',
  'refuse',
  'leftovers',
  'subscriptions',
  'badTopics',
  'deniedTopic',
  'unreachable',
  'badLogin',
  'brought',
]
const CAPABILITIES: readonly string[] = ['fanOut', 'ownConnection', 'endsWait', ...MEMBERS]

/** Throws unless each capability is either there or left out for a reason. */
export function checkHarness(harness: DriverHarness): void {
  const without: Partial<Record<string, string>> = harness.without ?? {}
  for (const member of MEMBERS) {
    const reason = without[member]
    const there = harness[member] !== undefined
    if (there && reason) throw new Error(`The harness has ${member}, and says it has not.`)
    if (!there && !reason) {
      throw new Error(`The harness has no ${member}: add it, or say why in \`without\`.`)
    }
  }
  for (const name of Object.keys(without)) {
    if (!CAPABILITIES.includes(name)) {
      throw new Error(`The harness is without ${name}, which is no capability.`)
    }
  }
}
