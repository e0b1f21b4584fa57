import { OptionsError } from '../../errors.js'
import { loadPeer, shownAddress, whenAbsent } from '../../driver-kit/index.js'
import type { KafkaJsClient } from './kafkajs.js'
import { isKafkaJs, kafkaJsLibrary } from './kafkajs.js'
import type { PlatformaticClient, PlatformaticModule } from './platformatic.js'
import { isPlatformatic, platformaticLibrary, settingsOf } from './platformatic.js'
import type { Library, Wire } from './wire.js'

/** Where Kafka is and how to get in, the same for both libraries. */
export interface KafkaConnectOptions {
  /** `host:port` of one or several brokers of the cluster. The others are found through them. */
  brokers: readonly string[]
  /** How this server is called in the broker's log. Default: `unifrost`. */
  clientId?: string
  /** True for TLS as the system trusts it, or the options of Node's `tls.connect`. */
  ssl?: boolean | object
  sasl?: {
    mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
    username: string
    password: string
  }
}

/** The module of kafkajs, with its client. */
export interface KafkaJsModule {
  Kafka: new (config: never) => KafkaJsClient
}

/** A library that the driver may use, as `import()` gives it. */
export type KafkaModule = KafkaJsModule | PlatformaticModule

/** A client of one of the libraries, made by the user. */
export type KafkaClient = KafkaJsClient | PlatformaticClient

/** The library that belongs to a target, with the connections that it makes. */
export function libraryFor(
  target: KafkaClient | string | KafkaConnectOptions,
  module: KafkaModule | undefined,
  connectTimeout: number,
): Library {
  if (isKafkaJs(target)) return kafkaJsLibrary(target)
  if (isPlatformatic(target)) {
    const given = module && isPlatformaticModule(module) ? module : undefined
    return platformaticLibrary(
      { ...settingsOf(target), connectTimeout },
      async () => given ?? loadPlatformatic(),
    )
  }
  const options = typeof target === 'string' ? parseAddress(target) : checkOptions(target)
  let library: Promise<Library> | undefined
  const load = async () => make(module ?? (await findModule()), options, connectTimeout)
  return {
    async wire(address): Promise<Wire> {
      const loading = (library ??= load())
      loading.catch(() => (library = undefined))
      return (await loading).wire(address)
    },
  }
}

export function isKafkaModule(module: unknown): module is KafkaModule {
  return isKafkaJsModule(module) || isPlatformaticModule(module)
}

function isKafkaJsModule(module: unknown): module is KafkaJsModule {
  return typeof (module as KafkaJsModule | undefined)?.Kafka === 'function'
}

function isPlatformaticModule(module: unknown): module is PlatformaticModule {
  const { Connection, apiVersionsV3 } = (module ?? {}) as Partial<PlatformaticModule>
  return typeof Connection === 'function' && typeof apiVersionsV3?.api === 'function'
}

async function loadPlatformatic(): Promise<PlatformaticModule> {
  const library = '@platformatic/kafka'
  const module: unknown = await loadPeer('kafkaDriver', library, importPlatformatic)
  if (isPlatformaticModule(module)) return module
  throw new Error('kafkaDriver does not know this version of @platformatic/kafka: take 1.35 or 2.')
}

async function findModule(): Promise<KafkaModule> {
  const kafkaJs: unknown = await importKafkaJs()
  if (isKafkaJsModule(kafkaJs)) return kafkaJs
  const found: unknown = await importPlatformatic()
  if (isPlatformaticModule(found)) return found
  throw new Error(
    'kafkaDriver needs one of the packages kafkajs and @platformatic/kafka for that. Run ' +
      '`npm install kafkajs@2.2.4` or `npm install @platformatic/kafka`.',
  )
}

function make(
  module: KafkaModule,
  { brokers, clientId = 'unifrost', ssl, sasl }: KafkaConnectOptions,
  connectTimeout: number,
): Library {
  if (isKafkaJsModule(module)) {
    // What happens is told by the driver; the library's own log would only repeat it.
    const config = { brokers, clientId, ssl, sasl, connectionTimeout: connectTimeout, logLevel: 0 }
    return kafkaJsLibrary(new module.Kafka(config as never))
  }
  const settings = {
    clientId,
    bootstrapBrokers: brokers,
    connectTimeout,
    ...(ssl && { tls: ssl === true ? {} : ssl }),
    ...(sasl && { sasl: { ...sasl, mechanism: sasl.mechanism.toUpperCase() } }),
  }
  return platformaticLibrary(settings, async () => module)
}

/** `kafka://user:password@host:9092,host2:9092`, or `kafka+ssl://…`. */
function parseAddress(text: string): KafkaConnectOptions {
  const match = /^(?:(kafka|kafka\+ssl):\/\/)?(?:([^@/]*)@)?([^@/?#]+)\/?$/.exec(text.trim())
  const brokers = match?.[3]?.split(',').map((broker) => broker.trim()) ?? []
  if (!match || !brokers.every(isBroker)) throw addressError(text)
  const [user = '', ...rest] = match[2]?.split(':') ?? []
  const password = rest.join(':')
  if ((match[2] !== undefined) !== (user !== '' && password !== '')) throw addressError(text)
  return {
    brokers: brokers.map(withPort),
    ...(match[1] === 'kafka+ssl' && { ssl: true }),
    ...(user && {
      sasl: { mechanism: 'plain', username: decode(user), password: decode(password) } as const,
    }),
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    // A percent sign that stands for itself.
    return text
  }
}

function checkOptions(target: KafkaConnectOptions): KafkaConnectOptions {
  const { brokers } = (target ?? {}) as Partial<KafkaConnectOptions>
  if (!Array.isArray(brokers) || brokers.length === 0) throw addressError(target)
  for (const broker of brokers) if (!isBroker(broker)) throw addressError(broker)
  return { ...target, brokers: brokers.map(withPort) }
}

function isBroker(broker: unknown): boolean {
  if (typeof broker !== 'string') return false
  const match = /^([\w.-]+|\[[\da-fA-F:.]+\])(?::(\d{1,5}))?$/.exec(broker)
  return match !== null && Number(match[2] ?? 1) <= 65_535 && Number(match[2] ?? 1) > 0
}

function withPort(broker: string): string {
  return /:\d+$/.test(broker.replace(/^\[.*\]/, '')) ? broker : `${broker}:9092`
}

function addressError(got: unknown): OptionsError {
  return new OptionsError(
    `kafkaDriver got ${shownAddress(got)} as the address of Kafka. It takes a Kafka of kafkajs, a client of ` +
      '@platformatic/kafka, kafka://host:port or kafka+ssl://host:port, several with commas ' +
      'between them, or { brokers }.',
  )
}

async function importKafkaJs() {
  try {
    return await import('kafkajs')
  } catch (error) {
    return whenAbsent('kafkajs', error)
  }
}

async function importPlatformatic() {
  try {
    return await import('@platformatic/kafka')
  } catch (error) {
    return whenAbsent('@platformatic/kafka', error)
  }
}
