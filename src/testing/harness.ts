import type { Driver } from '../driver.js'

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

  /** Kills the broker with SIGKILL and starts it again; settles when it takes connections. */
  restart?(): Promise<void>

  /** Stops the broker as SIGSTOP does; what it returns lets it go on. */
  freeze?(): Promise<() => Promise<void>>

  /** Closes the drivers' connections to the broker. {@link tcpLink} can. */
  cut?(): void | Promise<void>

  /** Lets the drivers' connections go silent, and takes new ones. {@link tcpLink} can. */
  stall?(): void | Promise<void>

  /** Counts what the drivers have on the broker: connections, queues, subscriptions. */
  leftovers?(): number | Promise<number>

  /** Names of topics that this broker can't hold. */
  badTopics?: readonly string[]

  /** A topic that the drivers of `create` have no permission to read. */
  deniedTopic?: string

  /** A driver, and the address in it at which nothing listens. */
  unreachable?(): Unreachable | Promise<Unreachable>

  /** A driver on a connection that the user made. */
  brought?(): Promise<Brought>

  /** What this harness can't do or this broker doesn't have, and why. */
  without?: Partial<Record<Capability, string>>
}

export interface Unreachable {
  driver: Driver
  /** What the error must name, such as `127.0.0.1:4222`. */
  address: string
}

export interface Brought {
  driver: Driver
  /** Rejects unless the connection still works. It is asked after the driver was closed. */
  check(): Promise<void>
  /** Closes the connection. */
  end(): Promise<void>
}

/** What some cases need. `fanOut`: two drivers of `create` share a broker. */
export type Capability =
  | 'fanOut'
  | 'restart'
  | 'freeze'
  | 'cut'
  | 'stall'
  | 'leftovers'
  | 'badTopics'
  | 'deniedTopic'
  | 'unreachable'
  | 'brought'

const CAPABILITIES: readonly Capability[] = [
  'fanOut',
  'restart',
  'freeze',
  'cut',
  'stall',
  'leftovers',
  'badTopics',
  'deniedTopic',
  'unreachable',
  'brought',
]

/** Throws unless each capability is either there or left out for a reason. */
export function checkHarness(harness: DriverHarness): void {
  const without: Partial<Record<string, string>> = harness.without ?? {}
  for (const capability of CAPABILITIES) {
    const reason = without[capability]
    // Sharing a broker is the rule, so it has no member: it is there unless it is left out.
    const there = capability === 'fanOut' ? !reason : harness[capability] !== undefined
    if (there && reason) throw new Error(`The harness has ${capability}, and says it has not.`)
    if (!there && !reason) {
      throw new Error(`The harness has no ${capability}: add it, or say why in \`without\`.`)
    }
  }
  for (const name of Object.keys(without)) {
    if (!CAPABILITIES.includes(name as Capability)) {
      throw new Error(`The harness is without ${name}, which is no capability.`)
    }
  }
}
