/** The server under test: a process of its own, told by its parent what to do. */
import type { Driver, Logger } from '../../src/index.js'
import { memoryDriver, Streamer } from '../../src/index.js'
import type { MemoryDriver } from '../../src/index.js'
import { natsDriver } from '../../src/drivers/nats.js'
import { rabbitmqDriver } from '../../src/drivers/rabbitmq.js'
import { authenticate, autoClient, unifrostExpress } from '../../middleware/express.js'
import { answerParent, collectGarbage, configFromParent } from '../kit/child-program.js'
import { drainOnSigterm, routesOf, serve } from '../kit/serving.js'
import type { Command, Reply, ServerConfig } from './faulty-server-messages.js'

const config = configFromParent<ServerConfig>()
const throwing = config.throwing ?? false

/** What the application's own code says when it fails. Nobody outside may ever read it. */
function fail(where: string): never {
  throw new Error(`secret: ${where} of the application failed`)
}

const logger: Logger = {
  debug: () => throwing && fail('logger.debug'),
  info: () => throwing && fail('logger.info'),
  warn: () => throwing && fail('logger.warn'),
  error: () => throwing && fail('logger.error'),
}

function makeDriver(): Driver {
  if (config.broker.kind === 'nats') {
    const server = { servers: config.broker.url, pingInterval: 500, timeout: 1_000 }
    return natsDriver(server, { subscribeTimeout: 1_500 })
  }
  if (config.broker.kind === 'rabbitmq') {
    return rabbitmqDriver(config.broker.url, { heartbeat: 1_000, subscribeTimeout: 3_000 })
  }
  return memoryDriver()
}

/** A driver whose `subscribe` throws for topics with a name that asks for it. */
function faulty(driver: Driver): Driver {
  return {
    subscribe(topic, sink) {
      if (topic.startsWith('throws.')) fail('driver.subscribe')
      if (topic.startsWith('rejects.')) return Promise.reject(new Error('secret: rejected'))
      if (topic.startsWith('fails.')) {
        setImmediate(() => sink.fail(new Error('secret: the subscription failed')))
      }
      return driver.subscribe(topic, sink)
    },
    close: () => driver.close(),
  }
}

const driver = makeDriver()
const streamer = new Streamer(throwing ? faulty(driver) : driver, { ...config.options, logger })
const ends: Reply['ends'] = []
let unhandled = 0

/** Since when each connection has been seen to take nothing more. */
const fullSince = new Map<string, number>()
const watch = setInterval(() => {
  for (const id of seen) {
    const client = streamer.getClient(id)
    if (client?.connection?.full !== true) fullSince.delete(id)
    else if (!fullSince.has(id)) fullSince.set(id, performance.now())
  }
}, 10)
watch.unref()
const seen = new Set<string>()
streamer.on('clientCreated', (client) => void seen.add(client.id))
streamer.on('disconnect', (client, reason) => {
  const now = performance.now()
  ends.push({ reason, fullFor: now - (fullSince.get(client.id) ?? now) })
  if (throwing) fail('disconnect listener')
})
if (throwing) {
  // What the application does not catch is counted here, where it would end other processes.
  process.on('unhandledRejection', () => unhandled++)
  process.on('uncaughtException', () => unhandled++)
  streamer.on('connect', () => fail('connect listener'))
  streamer.on('clientCreated', async () => fail('clientCreated listener'))
  streamer.on('clientRemoved', () => fail('clientRemoved listener'))
  streamer.on('topicOpened', () => fail('topicOpened listener'))
  streamer.on('error', () => fail('error listener'))
}

const app = routesOf(streamer, (topic) => (topic === 'authorize.throws' ? fail('authorize') : true))
app.get('/failing/topics', autoClient(streamer, { topics: () => fail('topics') }))
app.get('/failing/id', autoClient(streamer, { topics: [], id: async () => fail('id') }))
app.get('/failing/principal', unifrostExpress(streamer, { principal: () => fail('principal') }))
app.get(
  '/failing/owner',
  unifrostExpress(streamer, { principal: () => 'alice', owner: () => fail('owner') }),
)
app.get(
  '/failing/expires',
  unifrostExpress(streamer, { principal: () => 'alice', expires: () => fail('expires') }),
)
app.use(
  '/verified',
  authenticate({
    verify: (token) => (token === 'throws' ? fail('verify') : { sub: token }),
    from: [{ query: 'token' }],
  }),
  (_request, response) => void response.json({}),
)

/** Whoever writes to a stream that has ended is told by an event that nobody needs to look at. */
function watchForWrites(stream: NodeJS.WritableStream): void {
  stream.on('error', ({ code }: NodeJS.ErrnoException) => {
    if (code === 'ERR_STREAM_WRITE_AFTER_END') process.stderr.write('a write after the end\n')
  })
}

function obey(command: Command): Reply {
  if (command.do === 'publish') {
    for (const [topic, payload] of command.messages ?? []) {
      ;(driver as MemoryDriver).publish(topic, payload)
    }
  } else if (command.do === 'block') {
    const end = performance.now() + (command.milliseconds ?? 0)
    while (performance.now() < end);
  }
  if (command.do === 'ends') collectGarbage()
  // Asking costs a file descriptor, of which there may be none left.
  const memory = command.do === 'ends' ? process.memoryUsage() : { rss: 0, arrayBuffers: 0 }
  const sockets = process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length
  return {
    stats: streamer.stats(),
    ends: command.do === 'ends' ? ends.splice(0) : [],
    memory: { rss: memory.rss, arrayBuffers: memory.arrayBuffers },
    sockets,
    full: fullSince.size,
    unhandled,
    wallClock: Date.now(),
    monotonic: performance.now(),
  }
}

answerParent(obey)
const server = await serve(app, config, (unopened) => {
  unopened.on('connection', watchForWrites)
  unopened.on('request', (_request, response) => watchForWrites(response))
  // A stream that has ended shall not look like one that lives.
  unopened.keepAliveTimeout = 500
})
drainOnSigterm(streamer, server, config.drainOver ?? 1_000, 'take')
