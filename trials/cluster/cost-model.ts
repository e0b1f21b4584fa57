/** What a run measures, and the straight lines that go through it. */

/** What was measured with so many servers and clients. Times are microseconds of processor time. */
export interface CostPoint {
  servers: number
  clients: number
  /** Of all servers, to make each client, subscribe and connect it. */
  connectCpu: number
  /** The same for coming back to another server. */
  adoptCpu: number
  /** For each client in each second in which nothing happens, heartbeats included. */
  idleCpu: number
  /** Resident bytes of all servers beyond what they have without clients. */
  memory: number
  /** Of one server, for a message of a topic that nobody has there. */
  readCpu: number
  messages: number
  deliveries: number
  /** Of all servers, for all messages, beyond what idling would have taken in that time. */
  messageCpu: number
  /** Operations of the directory for each client. */
  connectOperations: number
  adoptOperations: number
  idleOperations: number
  /** Bytes of the directory for each client. */
  directoryMemory: number
  /** Operations of the directory while the messages were delivered. */
  messageOperations: number
  /** Reads of the broker for each server and message. */
  brokerReads: number
  /** Redis' own microseconds for an operation of the directory. */
  directoryCpu: number
  /** Which answers were no stream; whoever got one came again. */
  refused: string
  /** Redis' own microseconds for a message and a server that reads it. */
  brokerCpu: number
}

export const COST_TOPICS = 100
export const COST_EACH = 5
export const COST_SIZE = 200
/** How many deliveries there are in a second, of all servers together: as many as keep none busy. */
export const COST_RATE = 25_000
/** How often a heartbeat is sent while idling is measured, in milliseconds; by default 25,000. */
export const COST_HEARTBEAT = 5_000

/** Coefficients in microseconds, bytes and operations. */
export interface CostFit {
  connect: number
  /** Coming back to the same server, and to another one. */
  comeBack: number
  adopt: number
  /** For each server in each second, and for each heartbeat of a client. */
  idleServer: number
  heartbeat: number
  memoryServer: number
  memoryClient: number
  /** For each message that a server reads, and for each client that it is written to. */
  message: number
  delivery: number
  connectOperations: number
  adoptOperations: number
  /** For each server in each second: its lease. */
  idleOperations: number
  directoryMemory: number
  directoryCpu: number
  brokerCpu: number
}

/** The line y = a·x + b·z through the origin with the least squares. */
export function fitTwo(rows: readonly (readonly [x: number, z: number, y: number])[]) {
  let [xx, xz, zz, xy, zy] = [0, 0, 0, 0, 0]
  for (const [x, z, y] of rows) {
    xx += x * x
    xz += x * z
    zz += z * z
    xy += x * y
    zy += z * y
  }
  const determinant = xx * zz - xz * xz
  const both = { a: (xy * zz - zy * xz) / determinant, b: (zy * xx - xy * xz) / determinant }
  // What lies below nothing is noise: then all of it belongs to the other.
  if (both.a < 0) return { a: 0, b: zy / zz }
  return both
}

export function fitOf(points: readonly CostPoint[]): CostFit {
  const alone = points.filter(({ servers }) => servers === 1)
  const several = points.filter(({ servers }) => servers > 1)
  const each = (some: readonly CostPoint[], of: (point: CostPoint) => number) => {
    const clients = some.reduce((sum, point) => sum + point.clients, 0)
    return some.reduce((sum, point) => sum + of(point), 0) / clients
  }
  const mean = (of: (point: CostPoint) => number) =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length
  const idle = fitTwo(points.map((it) => [it.servers, it.clients, it.idleCpu]))
  const memory = fitTwo(points.map((it) => [it.servers, it.clients, it.memory]))
  const message = mean(({ readCpu }) => readCpu)
  const written = points.reduce(
    (sum, it) => sum + it.messageCpu - message * it.servers * it.messages,
    0,
  )
  const deliveries = points.reduce((sum, it) => sum + it.deliveries, 0)
  return {
    connect: each(points, ({ connectCpu }) => connectCpu),
    comeBack: each(alone, ({ adoptCpu }) => adoptCpu),
    adopt: each(several, ({ adoptCpu }) => adoptCpu),
    idleServer: idle.a,
    heartbeat: (idle.b * COST_HEARTBEAT) / 1_000,
    memoryServer: memory.a,
    memoryClient: memory.b,
    message,
    delivery: written / deliveries,
    connectOperations: mean((it) => it.connectOperations),
    adoptOperations: each(several, (it) => it.adoptOperations * it.clients),
    idleOperations: mean((it) => it.idleOperations / it.servers),
    directoryMemory: mean((it) => it.directoryMemory),
    directoryCpu: mean((it) => it.directoryCpu),
    brokerCpu: mean((it) => it.brokerCpu),
  }
}

/** What is asked of the model, and what it says. */
export interface Need {
  clients: number
  topics: number
  /** Topics of each client, messages of each topic in a second, seconds between reconnects. */
  each: number
  perTopic: number
  stay: number
}

/**
 * How often the record of a connected client is renewed, in seconds: at three eighths of a life of
 * ten minutes at the earliest. That is longer than a run measures.
 */
export const RENEWAL = 225

/** How much of a core may be used before it queues. */
export const USABLE = 0.6

/**
 * How many cores, servers and operations it takes: computed, not measured. `servers` is infinite
 * where reading what all servers read is more than one of them may be used for.
 */
export function needOf(fit: CostFit, need: Need) {
  const { clients, topics, each, perTopic, stay } = need
  const messages = topics * perTopic
  const deliveries = messages * ((clients * each) / topics)
  const cores = {
    deliveries: (deliveries * fit.delivery) / 1e6,
    heartbeats: ((clients / 25) * fit.heartbeat) / 1e6,
    reconnects: ((clients / stay) * fit.adopt) / 1e6,
  }
  // A server is one core, part of which goes to reading what all servers read.
  const readingEach = (messages * fit.message + fit.idleServer) / 1e6
  const spread = cores.deliveries + cores.heartbeats + cores.reconnects
  const servers = readingEach < USABLE ? Math.ceil(spread / (USABLE - readingEach)) : Infinity
  const operations =
    (clients / stay) * fit.adoptOperations + clients / RENEWAL + servers * fit.idleOperations
  return {
    deliveries,
    cores,
    readingEach,
    servers,
    memory: servers * fit.memoryServer + clients * fit.memoryClient,
    operations,
    directoryCores: (operations * fit.directoryCpu) / 1e6,
    directoryMemory: clients * fit.directoryMemory,
    brokerCores: (servers * messages * fit.brokerCpu) / 1e6,
    /** Seconds until everybody is back if all come at once: by the servers, by the directory. */
    storm: {
      servers: (clients * fit.adopt) / 1e6 / servers,
      directory: (clients * fit.adoptOperations * fit.directoryCpu) / 1e6,
    },
  }
}
