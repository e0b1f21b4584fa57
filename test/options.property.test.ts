import { createServer } from 'node:http'
import type { ServerResponse } from 'node:http'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as core from 'unifrost'
import * as forExpress from 'unifrost/express'
import * as forKoa from 'unifrost/koa'
import { createNoopMeter } from '@opentelemetry/api'
import * as forMetrics from 'unifrost/metrics'
import { startHub } from 'unifrost/hub'
import { checkWorkersOptions } from '../src/hub/workers-options.js'
import * as forFetch from 'unifrost/fetch'
import * as forFastify from 'unifrost/fastify'
import * as forNest from 'unifrost/nest'
import { producer, runs } from 'unifrost/runs'
import { MemoryStore } from '../src/runs/memory-store.js'
import fastify from 'fastify'
import { expectEvent, openStream } from 'unifrost/testing/app'

/**
 * Every factory times every option times every wrong value. The options are not listed here: each
 * factory names its own when it is asked for one that it does not have, from the table that it
 * checks by. So an option that is added is tried, and a factory that checks nothing is found.
 */

const { OptionsError, Streamer, memoryDriver } = core

type Factory = (options: unknown) => unknown

const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const streamer = () => new Streamer(memoryDriver())

/** Calls a method of a Streamer that has a client with the topic `a`. */
const method =
  (call: (it: core.Streamer, id: string, options: never) => unknown): Factory =>
  async (options) => {
    const it = streamer()
    try {
      const { id } = await it.newClient()
      await call(it, id, options as never)
    } finally {
      await it.close()
    }
  }

/** How each factory is called with options, and what it needs beside the option that is tried. */
const factories: Record<string, Factory> = {
  Streamer: (options) => new Streamer(memoryDriver(), options as never),
  'Streamer.newClient': method((it, _id, options) => it.newClient(options)),
  'Streamer.newCustomClient': method((it, _id, options) => it.newCustomClient('c', options)),
  'Streamer.subscribe': method((it, id, options) => it.subscribe(id, 'a', options)),
  'Streamer.revoke': method((it, _id, options) => it.revoke('alice', options)),
  'Streamer.drain': method((it, _id, options) => it.drain(options)),
  'Streamer.shutdown': method((it, _id, options) => it.shutdown(createServer(), options)),
  'unifrost memoryDriver': (options) => memoryDriver(options as never),
  'unifrost limitConnectionRate': (options) =>
    core.limitConnectionRate(createServer(), withRest(options, { perSecond: 1 }) as never),
}

for (const [entry, it] of [
  ['express', forExpress],
  ['koa', forKoa],
  ['fetch', forFetch],
] as const) {
  const [name, stream] = {
    express: ['unifrostExpress', forExpress.unifrostExpress] as const,
    koa: ['unifrostKoa', forKoa.unifrostKoa] as const,
    fetch: ['handler', forFetch.handler] as const,
  }[entry]
  const verify = () => ({ sub: 'a' })
  Object.assign(factories, {
    [`${entry} ${name}`]: (options) => stream(streamer(), options as never),
    [`${entry} authenticate`]: (options) => it.authenticate(withRest(options, { verify }) as never),
    [`${entry} autoClient`]: (options) => it.autoClient(streamer(), options as never),
    [`${entry} clients`]: (options) => it.clients(streamer(), options as never),
    [`${entry} subscriptions`]: (options) => it.subscriptions(streamer(), options as never),
    [`${entry} jwt`]: (options) => it.jwt(withRest(options, keyFor(options)) as never),
  } satisfies Record<string, Factory>)
}

/** An address at which there is no hub. */
const HUB = join(tmpdir(), `unifrost-options-${process.pid}`)
const verify = () => ({ sub: 'a' })
/** Options of what mounts all routes at once, with what those need that hold others. */
const mounted = (options: unknown): unknown => {
  const given = withRest(options, { streamer: streamer() })
  const { authenticate } = Object(given) as { authenticate?: unknown }
  if (typeof authenticate !== 'object' || authenticate === null) return given
  return { ...(given as object), authenticate: withRest(authenticate, { verify }) }
}
Object.assign(factories, {
  'fastify unifrostFastify': (options) =>
    forFastify.unifrostFastify(fastify(), mounted(options) as never),
  'nest UnifrostModule.forRoot': (options) =>
    forNest.UnifrostModule.forRoot(mounted(options) as never),
  'nest UnifrostModule.forRootAsync': (options) =>
    forNest.UnifrostModule.forRootAsync(withRest(options, { useFactory: () => ({}) }) as never),
  'fastify jwt': (options) => forFastify.jwt(withRest(options, keyFor(options)) as never),
  'nest jwt': (options) => forNest.jwt(withRest(options, keyFor(options)) as never),
} satisfies Record<string, Factory>)

Object.assign(factories, {
  'runs runs': (options) => runs(streamer(), options as never),
  'runs producer': (options) => producer(new MemoryStore(), options as never),
  'runs Runs.express': (options) => runs(streamer()).express(() => 'a', options as never),
  'runs Runs.koa': (options) => runs(streamer()).koa(() => 'a', options as never),
  'runs Runs.fetch': (options) => runs(streamer()).fetch(() => 'a', options as never),
  'runs Runs.read': (options) => runs(streamer()).read('a', options as never),
  'runs Runs.status': (options) => runs(streamer()).status('a', options as never),
  'runs Runs.start': (options) => runs(streamer()).start('a', options as never, () => undefined),
} satisfies Record<string, Factory>)

/** A factory on a broker, which is not asked for anything. */
const onBroker: Record<string, [target: unknown, rest?: object]> = {
  'drivers/nats natsDriver': ['nats://127.0.0.1:1'],
  'drivers/jetstream jetstreamDriver': ['nats://127.0.0.1:1', { stream: 'S' }],
  'drivers/rabbitmq rabbitmqDriver': ['amqp://127.0.0.1:1'],
  'drivers/kafka kafkaDriver': ['127.0.0.1:1'],
  'drivers/redis redisDriver': ['redis://127.0.0.1:1'],
  'drivers/redis-streams redisStreamsDriver': ['redis://127.0.0.1:1'],
  'drivers/google-pubsub googlePubSubDriver': [{ projectId: 'p', emulatorHost: '127.0.0.1:1' }],
  'drivers/sqs sqsDriver': [{ region: 'eu-west-1' }],
  'drivers/azure-service-bus azureServiceBusDriver': [
    'Endpoint=sb://127.0.0.1;SharedAccessKeyName=n;SharedAccessKey=k',
  ],
  'drivers/postgres postgresDriver': ['postgres://u:p@127.0.0.1:1/d'],
  'runs/redis redisRuns': ['redis://127.0.0.1:1'],
  'directories/nats natsDirectory': ['nats://127.0.0.1:1'],
  'directories/redis redisDirectory': ['redis://127.0.0.1:1'],
  'hub hubDriver': [HUB],
  'hub hubDirectory': [HUB],
}

/** What `startWorkers` needs. Its checks alone are tried: beyond them it starts processes. */
const WORKERS = { driver: () => memoryDriver(), app: () => () => undefined, port: 0 }

Object.assign(factories, {
  'metrics metrics': (options) => forMetrics.metrics(streamer(), options as never),
  'metrics instruments': (options) => {
    const end = forMetrics.instruments(streamer(), createNoopMeter(), options as never)
    return { close: end }
  },
  'hub startHub': (options) =>
    startHub(withRest(options, { address: HUB, driver: memoryDriver() }) as never),
  'hub startWorkers': (options) => checkWorkersOptions(withRest(options, WORKERS) as never),
} satisfies Record<string, Factory>)

Object.assign(factories, {
  'testing/app openStream': (options) =>
    openStream(
      (_request: unknown, response: ServerResponse) => response.end(),
      '/',
      options as never,
    ),
  'testing/app expectEvent': (options) => {
    const unread = [{ event: 'a', data: '', id: '' }]
    return expectEvent({ unread, events: unread } as never, 'a', '', options as never)
  },
} satisfies Record<string, Factory>)

/** What is exported beside factories that take options. */
const others = new Set([
  'unifrost UnifrostError',
  // Its methods are tried.
  'nest UnifrostModule',
  // The plugin again.
  'fastify default',
  // The browser's half is small, and checks names only: `client/client.test.ts`.
  'client connect',
  'client/fetch FetchEventSource',
  ...[
    'react Live',
    'react useLive',
    'react useRun',
    'react useStatus',
    'react useTopic',
    'vue useStatus',
    'vue useTopic',
  ],
  ...['svelte statusStore', 'svelte topicStore', 'solid useStatus', 'solid useTopic'],
  // Its `waitUntil` may be null, as in resumable-stream: `runs/resumable-stream.test.ts`.
  'runs/resumable-stream createResumableStreamContext',
  // What it takes is of the framework: `fetch.test.ts`.
  'fetch withContext',
  'fetch errorPage',
  'express setPosition',
  'koa setPosition',
  'fetch setPosition',
  'fastify setPosition',
  'nest setPosition',
  ...['express', 'koa', 'fetch', 'fastify', 'nest'].map((entry) => `${entry} patterns`),
])

const loaded = new Map<string, Record<string, unknown>>()
const entries = Object.keys(
  (JSON.parse(readFileSync(join(__dirname, '../package.json'), 'utf8')) as { exports: object })
    .exports,
)
  .map((path) => path.slice(2))
  .filter((path) => path !== 'package.json' && path !== 'testing' && path !== 'driver-kit')

beforeAll(async () => {
  for (const entry of entries) {
    const path = entry === '' ? 'unifrost' : `unifrost/${entry}`
    loaded.set(entry === '' ? 'unifrost' : entry, (await import(path)) as Record<string, unknown>)
  }
  for (const [name, [target, rest]] of Object.entries(onBroker)) {
    const [entry = '', factory = ''] = name.split(' ')
    const make = loaded.get(entry)![factory] as (target: unknown, options: unknown) => unknown
    factories[name] = (options) => make(target, rest ? withRest(options, rest) : options)
  }
})

function withRest(options: unknown, rest: object): unknown {
  const isObject = typeof options === 'object' && options !== null && !Array.isArray(options)
  return isObject && !(options instanceof Promise) ? { ...rest, ...options } : options
}

/** One key, of the kind that the option is not. */
function keyFor(options: unknown): object {
  const names = Object.keys(Object(options) as object)
  if (names.some((name) => ['secret', 'publicKey', 'jwksUrl'].includes(name))) return {}
  if (names.some((name) => /^(cooldown|cache|timeout)/.test(name))) {
    return { jwksUrl: 'https://issuer.test/keys' }
  }
  return { publicKey: createPublicKey(publicKey.export({ type: 'spki', format: 'pem' })) }
}

/** What a factory says to options: nothing, or its error. */
async function said(factory: Factory, options: unknown): Promise<unknown> {
  try {
    const made = await factory(options)
    await (made as Partial<core.Driver> | undefined)?.close?.()
    return undefined
  } catch (error) {
    return error
  }
}

const at = (path: readonly string[], value: unknown): object =>
  path.reduceRight<unknown>((inner, name) => ({ [name]: inner }), value) as object

/** The options that a factory has, those inside of others included. */
async function optionsOf(factory: Factory, path: string[] = []): Promise<string[][]> {
  const error = await said(factory, at([...path, 'zzzzzzzzzz'], 1))
  const list = error instanceof OptionsError && /zzzzzzzzzz\. It has (.*)\.$/.exec(error.message)
  if (!list) return []
  const found = list[1]!.split(', ').map((name) => [...path, name])
  const inner = await Promise.all(found.map((one) => optionsOf(factory, one)))
  return [...found, ...inner.flat()]
}

const rejected = () => {
  const promise = Promise.reject(new Error('of a test'))
  promise.catch(() => undefined)
  return promise
}

/** Values that no option takes, whatever its type. */
const never: Record<string, () => unknown> = {
  null: () => null,
  NaN: () => NaN,
  'a symbol': () => Symbol('wrong'),
  'a promise': () => Promise.resolve(1),
  'a promise that rejects': rejected,
  'minus one': () => -1,
}

/** One value of each type. An option takes few of them. */
const types: Record<string, unknown> = {
  boolean: true,
  number: 7,
  text: 'text',
  list: [],
  object: {},
  function: () => undefined,
  'async function': async () => undefined,
}

test('each factory that the package exports is tried here', () => {
  const exported: string[] = []
  for (const [entry, module] of loaded) {
    for (const [name, value] of Object.entries(module)) {
      const isError = (value as { prototype?: unknown }).prototype instanceof core.UnifrostError
      if (typeof value === 'function' && !isError) exported.push(`${entry} ${name}`)
    }
  }
  const tried = [...Object.keys(factories), ...others, 'unifrost Streamer']
  expect(exported.filter((name) => !tried.includes(name))).toEqual([])
})

const all = [...Object.keys(factories), ...Object.keys(onBroker)]

test.each(all)('%s: no wrong option is passed over in silence', async (name) => {
  const factory = factories[name]!
  const passed: string[] = []
  const options = await optionsOf(factory)
  expect(options.length).toBeGreaterThan(0)
  for (const path of options) {
    const refuses = async (value: unknown) => (await said(factory, at(path, value))) !== undefined
    const note = async (kind: string, value: unknown) => {
      const error = await said(factory, at(path, value))
      if (!(error instanceof OptionsError)) {
        passed.push(`${path.join('.')}: ${kind}: ${error === undefined ? 'taken' : String(error)}`)
      }
    }
    for (const [kind, value] of Object.entries(never)) await note(kind, value())
    const taken: string[] = []
    for (const [kind, value] of Object.entries(types)) if (!(await refuses(value))) taken.push(kind)
    // A function that answers later is found out when it is called: see `callbacks.test.ts`.
    if (!taken.includes('function')) await note('async function', async () => undefined)
    if (taken.length > 3) passed.push(`${path.join('.')}: takes ${taken.join(', ')}`)
    // Undefined is the default. An option that protects is refused, and never the default by accident.
    const undefinedError = await said(factory, at(path, undefined))
    if (undefinedError !== undefined) {
      if (!(undefinedError instanceof OptionsError)) passed.push(`${path.join('.')}: undefined`)
    }
  }
  expect(passed).toEqual([])
})

test.each(all)('%s: options that are no object, or a misspelt one, are refused', async (name) => {
  const factory = factories[name]!
  const wrong: unknown[] = [null, 5, 'text', [], () => undefined, Promise.resolve({})]
  for (const options of wrong) {
    expect([options, await said(factory, options)]).toEqual([options, expect.any(OptionsError)])
  }
  for (const path of await optionsOf(factory)) {
    const last = path.at(-1)!
    const misspelt = [...path.slice(0, -1), `${last.slice(0, -1)}x${last.slice(-1)}`]
    const error = await said(factory, at(misspelt, 1))
    expect(error).toBeInstanceOf(OptionsError)
    expect((error as Error).message).toContain(`Did you mean ${path.join('.')}?`)
  }
})

/** What an application may hand over in the place of the first argument by mistake. */
const noArgument = [undefined, null, 7, '', {}, [], () => undefined, Promise.resolve({})]

test.each(['autoClient', 'clients', 'subscriptions'] as const)(
  '%s takes a Streamer first, and nothing else',
  (name) => {
    for (const it of [forExpress, forKoa, forFetch]) {
      for (const argument of noArgument) {
        expect(() => it[name](argument as never)).toThrow(OptionsError)
      }
    }
  },
)

test.each(noArgument.slice(0, 4).map((argument) => [argument]))(
  'patterns, jwt, authenticate and limitConnectionRate refuse %p',
  (argument) => {
    const given = argument as never
    for (const it of [forExpress, forKoa, forFetch]) {
      expect(() => it.patterns(given)).toThrow(OptionsError)
      expect(() => it.jwt(given)).toThrow(OptionsError)
      expect(() => it.authenticate(given)).toThrow(OptionsError)
    }
    expect(() => core.limitConnectionRate(given, { perSecond: 1 })).toThrow(OptionsError)
    expect(() => core.limitConnectionRate(createServer(), given)).toThrow(OptionsError)
  },
)
