import type { BrokerKind } from './brokers.js'
import { Random } from '../kit/random.js'

/** What can happen to the connection of one client. */
export const CLIENT_FAULTS = [
  'cut',
  'freeze',
  'delay',
  'throttle',
  'split',
  'stop reading',
  'vanish',
  'leave unnoticed',
] as const
/** What can happen to a broker, or the link to it. */
export const BROKER_FAULTS = ['broker kill', 'broker freeze', 'link cut', 'link stall'] as const
/** What can happen to the server, or to all its connections. */
export const SERVER_FAULTS = ['server kill', 'server block', 'cut all'] as const

export type ClientFault = (typeof CLIENT_FAULTS)[number]
export type BrokerFault = (typeof BROKER_FAULTS)[number]
export type ServerFault = (typeof SERVER_FAULTS)[number]

/** One fault of a run. Times are in milliseconds, from the run's beginning. */
export interface Fault {
  at: number
  lasts: number
  broker: BrokerKind
  fault: ClientFault | BrokerFault | ServerFault
  /** Which clients, for those that befall single ones. */
  clients: number[]
}

/** How long a broker has between its faults, at the most: RabbitMQ takes its time to start. */
const BROKER_PAUSE: Record<BrokerKind, number> = { memory: Infinity, nats: 9_000, rabbitmq: 20_000 }

/** All faults of a run: the same seed and measures give the same schedule. */
export function scheduleOf(
  seed: number,
  duration: number,
  brokers: readonly BrokerKind[],
  clientsEach: number,
): Fault[] {
  const faults = brokers.flatMap((broker, index) => {
    const random = new Random(seed + index + 1)
    return [
      ...clientFaults(random, duration, broker, clientsEach),
      ...rareFaults(random, duration, broker, BROKER_FAULTS, BROKER_PAUSE[broker]),
      ...rareFaults(random, duration, broker, SERVER_FAULTS, 13_000),
    ]
  })
  return faults.sort((a, b) => a.at - b.at)
}

function clientFaults(
  random: Random,
  duration: number,
  broker: BrokerKind,
  clientsEach: number,
): Fault[] {
  const faults: Fault[] = []
  const everyone = Array.from({ length: clientsEach }, (_, index) => index)
  for (let at = random.between(50, 300); at < duration; at += random.between(50, 300)) {
    const clients = random.sample(everyone, random.between(1, Math.ceil(clientsEach / 20)))
    const lasts = random.between(200, 4_000)
    faults.push({ at, lasts, broker, fault: random.pick(CLIENT_FAULTS), clients })
  }
  return faults
}

/** One after the other, with time for recovery in between; each kind as often as the others. */
function rareFaults(
  random: Random,
  duration: number,
  broker: BrokerKind,
  kinds: readonly Fault['fault'][],
  every: number,
): Fault[] {
  const faults: Fault[] = []
  let left: Fault['fault'][] = []
  for (let at = random.between(1_000, every / 2); at < duration;) {
    if (left.length === 0) left = random.sample(kinds, kinds.length)
    const lasts = random.between(500, 3_000)
    faults.push({ at, lasts, broker, fault: left.pop()!, clients: [] })
    at += random.between(every / 2, every)
  }
  return faults
}
