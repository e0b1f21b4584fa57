/**
 * The public types, held by the compiler: `npm run typecheck` fails where one of these no longer
 * holds. Nothing here is run.
 */
import { createServer } from 'node:http'
import { createSecureServer } from 'node:http2'
import type { Request, RequestHandler } from 'express'
import type { Context, Middleware } from 'koa'
import type {
  Client,
  Directory,
  Driver,
  FoundClient,
  MemoryDriver,
  Presence,
  Selected,
  Sink,
  Stats,
  Subscription,
} from 'unifrost'
import { memoryDriver, NoClientError, Streamer, UnifrostError } from 'unifrost'
import { natsDirectory } from 'unifrost/directories/nats'
import { redisDirectory } from 'unifrost/directories/redis'
import type { NatsDriver } from 'unifrost/drivers/nats'
import { natsDriver } from 'unifrost/drivers/nats'
import * as forExpress from 'unifrost/express'
import * as forKoa from 'unifrost/koa'
import type { ContractCase } from 'unifrost/testing'
import { driverContract } from 'unifrost/testing'

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
declare function holds<_Claim extends true>(): void

export async function streamers(driver: Driver, sink: Sink): Promise<void> {
  const memory = memoryDriver({ encoding: 'base64' })
  holds<Equal<typeof memory, MemoryDriver>>()
  holds<Equal<ReturnType<typeof memory.publish>, boolean>>()
  memory.publish('topic', new Uint8Array())
  // @ts-expect-error a payload is text or bytes
  memory.publish('topic', { not: 'a payload' })

  const streamer = new Streamer(driver, { clientTTL: 1, history: { maxBytes: 1 }, retry: {} })
  // @ts-expect-error there is no such option
  new Streamer(driver, { clientTtl: 1 })
  // @ts-expect-error a Streamer needs a driver
  new Streamer()

  const client = await streamer.newClient()
  holds<Equal<typeof client, Client>>()
  holds<Equal<typeof client.owner, string | undefined>>()
  holds<Equal<typeof client.topics, string[]>>()
  // @ts-expect-error an id is for ever
  client.id = 'another'
  await streamer.newCustomClient('id', { owner: 'alice' })
  holds<Equal<ReturnType<typeof streamer.getClient>, Client | undefined>>()
  holds<Equal<ReturnType<typeof streamer.stats>, Stats>>()
  await streamer.subscribe(client.id, 'topic', { rewind: 10 })
  const names = ['a', 'b'] as const
  holds<Equal<Awaited<ReturnType<typeof streamer.list>>, FoundClient[]>>()
  const one: void = await streamer.subscribe(client.id, names)
  const all: Selected = await streamer.subscribe({ tenant: 'acme' }, names)
  const fewer: Selected = await streamer.unsubscribe({ owner: 'alice' }, 'a')
  // @ts-expect-error an owner is text
  await streamer.subscribe({ owner: undefined }, 'a')
  await streamer.recheck({ tenant: 'acme' })
  await streamer.reconnect({})
  void [one, all, fewer]
  await streamer.drain({ over: 1_000 })
  await streamer.shutdown([createServer(), createSecureServer()], { over: 1_000, timeout: 500 })
  streamer.on('messagesLost', (lost, topic) => {
    holds<Equal<typeof lost, Client>>()
    holds<Equal<typeof topic, string>>()
  })
  // @ts-expect-error there is no such event
  streamer.on('messageLost', () => undefined)
  await using disposed = streamer
  holds<Equal<typeof disposed.totalClients, number>>()

  const subscription: Subscription = await driver.subscribe('topic', sink)
  await subscription.close()
  const error: UnifrostError = new NoClientError()
  holds<Equal<typeof error.code, string>>()
  holds<Equal<ReturnType<typeof natsDriver>, NatsDriver>>()
}

export async function servers(driver: Driver): Promise<void> {
  const directory: Directory = redisDirectory('redis://localhost', { prefix: 'a:' })
  const streamer = new Streamer(driver, { directory, server: 'a', takeoverTimeout: 1 })
  holds<Equal<ReturnType<typeof streamer.findClient>, Promise<FoundClient | undefined>>>()
  holds<Equal<ReturnType<typeof streamer.clientsOf>, Promise<Presence>>>()
  new Streamer(driver, { directory: natsDirectory('nats://localhost', { replicas: 3 }) })
  // @ts-expect-error a directory is no address
  new Streamer(driver, { directory: 'redis://localhost' })
}

export function middleware(streamer: Streamer): void {
  const express: RequestHandler = forExpress.unifrostExpress(streamer)
  const carried: Streamer = forExpress.unifrostExpress({ clientTTL: 1 }).streamer
  const koa: Middleware = forKoa.unifrostKoa(streamer)
  forExpress.subscriptions(streamer, {
    authorize: (user: { sub: string }, topic, request) => {
      holds<Equal<typeof request, Request>>()
      return topic === user.sub
    },
  })
  forKoa.autoClient(streamer, {
    topics: (ctx) => {
      holds<Equal<typeof ctx, Context>>()
      return ['a']
    },
  })
  // @ts-expect-error verify is needed
  forExpress.authenticate({})
  void [express, carried, koa]
}

export function contract(driver: Driver): ContractCase[] {
  const without = { fanOut: 'in-process' } as const
  // @ts-expect-error a harness publishes
  driverContract({ create: () => driver, without })
  return driverContract({ create: () => driver, publish: () => undefined, without })
}

/** One object says who a request's user is, and every middleware knows the user's type by it. */
export function sharedAuth(streamer: Streamer): void {
  interface User {
    id: string
    tenant: string
  }
  const auth = {
    principal: (request: Request): User => (request as Request & { user: User }).user,
    owner: (user: User) => user.id,
  }
  forExpress.unifrostExpress(streamer, { ...auth, expires: (user) => user.id.length })
  forExpress.clients(streamer, { ...auth, labels: ({ tenant }) => ({ tenant }) })
  forExpress.autoClient(streamer, { ...auth, authorize: (user, topic) => user.tenant === topic })
  forExpress.subscriptions(streamer, { ...auth, authorize: (user, topic) => user.id === topic })
  // @ts-expect-error a user has no name
  forExpress.subscriptions(streamer, { ...auth, authorize: (user, topic) => user.name === topic })
  const names = ['a', 'b'] as const
  forExpress.autoClient(streamer, {
    topics: names,
    wildcards: names,
    origins: ['https://a.example'],
  })
  forExpress.autoClient(streamer, { topics: () => names })
  forExpress.authenticate({ verify: () => ({ sub: 'a' }), from: ['authorization'] as const })
  forExpress.jwt({ secret: 's'.repeat(32), algorithms: ['HS256'] as const, audience: names })
}
