import 'reflect-metadata'
import type { CanActivate, ExecutionContext, INestApplication } from '@nestjs/common'
import { Inject, Injectable, Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { ExpressAdapter } from '@nestjs/platform-express'
import { FastifyAdapter } from '@nestjs/platform-fastify'
import request from 'supertest'
import type { MemoryDriver } from 'unifrost'
import { memoryDriver, Streamer } from 'unifrost'
import { UnifrostModule } from 'unifrost/nest'
import { openEvents } from '../support/event-stream.js'
import { until } from '../support/until.js'

let driver: MemoryDriver
let streamer: Streamer
let app: INestApplication | undefined

beforeEach(() => {
  driver = memoryDriver()
  streamer = new Streamer(driver)
})

afterEach(async () => {
  await app?.close()
  app = undefined
  await streamer.close()
})

/** Lets in whoever names himself, as a guard that knows sessions would. */
class NameGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const asked = context.switchToHttp().getRequest<{
      headers: Record<string, string | undefined>
      user?: unknown
    }>()
    const name = asked.headers['x-name']
    if (name !== undefined) asked.user = { sub: name }
    return name !== undefined
  }
}
Injectable()(NameGuard)

describe.each([
  { name: 'Express', platform: () => new ExpressAdapter() },
  { name: 'Fastify', platform: () => new FastifyAdapter() },
])('on $name', ({ platform }) => {
  async function start(imports: unknown[], providers: unknown[] = []): Promise<string> {
    class AppModule {}
    Module({ imports: imports as never[], providers: providers as never[] })(AppModule)
    app = await NestFactory.create(AppModule, platform(), {
      logger: false,
      abortOnError: false,
    })
    await app.listen(0, '127.0.0.1')
    return app.getUrl()
  }

  test('ends its streams before the server closes, so that closing does not hang', async () => {
    const url = await start([
      UnifrostModule.forRoot({ streamer, autoClient: { topics: ['a'] }, drainOver: 50 }),
    ])
    const stream = await openEvents(`${url}/events`)
    await stream.next('the first message', ({ event }) => event === 'message')
    await app!.close()
    await stream.end()
    expect(stream.text).toContain('retry:')
    expect(streamer.health().ok).toBe(false)
  })

  test('takes its options from a factory, and gives the Streamer to providers by its class', async () => {
    const CONFIG = Symbol('config')
    class ConfigModule {}
    Module({ providers: [{ provide: CONFIG, useValue: { topic: 'news' } }], exports: [CONFIG] })(
      ConfigModule,
    )
    let injected: Streamer | undefined
    class Publisher {
      constructor(given: Streamer) {
        injected = given
      }
    }
    Inject(Streamer)(Publisher, undefined, 0)
    const url = await start(
      [
        UnifrostModule.forRootAsync({
          imports: [ConfigModule],
          inject: [CONFIG],
          useFactory: async ({ topic }: { topic: string }) => ({
            streamer,
            autoClient: { topics: [topic] },
          }),
        }),
      ],
      [Publisher],
    )
    expect(injected).toBe(streamer)
    const stream = await openEvents(`${url}/events`)
    await stream.next('the first message', ({ event }) => event === 'message')
    expect(stream.infos[0]).toMatchObject({ subscriptions: ['news'] })
    stream.drop()
    await until('the end', () => streamer.totalClients === 0)
  })

  test('stands behind guards, whose user owns the clients', async () => {
    const url = await start([UnifrostModule.forRoot({ streamer, guards: [NameGuard] })])
    expect((await request(url).post('/clients')).status).toBe(403)
    const made = await request(url).post('/clients').set('x-name', 'ann')
    expect(made.status).toBe(201)
    const { client_id: id } = made.body as { client_id: string }
    expect(streamer.getClient(id)?.owner).toBe('ann')
    expect((await openEvents(`${url}/events?id=${id}`)).status).toBe(403)
    const foreign = await openEvents(`${url}/events?id=${id}`, { 'x-name': 'bob' })
    expect(foreign.status).toBe(403)
    await foreign.end()
    expect(foreign.text).toContain('ERR_UNIFROST_NOT_OWNER')
    const own = await openEvents(`${url}/events?id=${id}`, { 'x-name': 'ann' })
    expect(own.status).toBe(200)
    own.drop()
  })

  test('tells of a failure that the answer keeps quiet about', async () => {
    const failures: unknown[] = []
    streamer.on('error', (error) => failures.push(error.cause))
    const url = await start([
      UnifrostModule.forRoot({
        streamer,
        autoClient: true,
        authorize: () => {
          throw new Error('the database is at 10.0.0.1')
        },
      }),
    ])
    const answer = await request(url).get('/events?topic=a')
    expect(answer.status).toBe(500)
    expect(answer.text).not.toContain('database')
    expect(String(failures[0])).toContain('database')
  })

  test('has its routes where it is told, and leaves out the others', async () => {
    const url = await start([
      UnifrostModule.forRoot({
        streamer,
        paths: { events: '/live/stream', clients: false, subscriptions: false },
      }),
    ])
    expect((await request(url).post('/clients')).status).toBe(404)
    expect((await request(url).get('/live/stream')).body).toMatchObject({
      error: { code: 'ERR_UNIFROST_NO_ID' },
    })
  })

  test('does not start with what a factory makes wrong', async () => {
    const module = UnifrostModule.forRootAsync({ useFactory: () => ({}) as never })
    await expect(start([module])).rejects.toThrow('streamer takes a Streamer')
  })
})

test('refuses options that it has not, when the module is made', () => {
  expect(() => UnifrostModule.forRoot({ streamer, gards: [] } as never)).toThrow('mean guards?')
  expect(() => UnifrostModule.forRoot({} as never)).toThrow('streamer takes a Streamer')
  expect(() => UnifrostModule.forRootAsync({} as never)).toThrow('useFactory takes a function')
  expect(() => UnifrostModule.forRootAsync({ useFactory: 5 } as never)).toThrow('useFactory')
})
