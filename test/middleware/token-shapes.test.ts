import express from 'express'
import { UnsecuredJWT } from 'jose'
import Koa from 'koa'
import type { Logger } from 'unifrost'
import { memoryDriver, Streamer } from 'unifrost'
import * as forExpress from 'unifrost/express'
import * as forKoa from 'unifrost/koa'
import { openEvents } from '../support/event-stream.js'
import { listen } from './support/apps.js'

/** Where the log-ins in use leave a token's claims: its end is found there, or missed aloud. */

let warnings: string[]
let streamer: Streamer
let running: Awaited<ReturnType<typeof listen>> | undefined

beforeEach(() => {
  warnings = []
  const ignore = () => undefined
  const warn = (_details: object, message: string) => void warnings.push(message)
  const logger: Logger = { info: ignore, error: ignore, debug: ignore, warn }
  streamer = new Streamer(memoryDriver(), { logger })
})
afterEach(async () => {
  await streamer.close()
  await running?.close()
  running = undefined
})

const express5 = (user: () => object) =>
  express()
    .use((request, _response, next) => {
      Object.assign(request, user())
      next()
    })
    .use(forExpress.autoClient(streamer, { topics: ['a'] }), forExpress.unifrostExpress(streamer))

const koa = (state: () => object) => {
  const app = new Koa()
  app.use((ctx, next) => {
    Object.assign(ctx.state, state())
    return next()
  })
  app.use(forKoa.autoClient(streamer, { topics: ['a'] }))
  return app.use(forKoa.unifrostKoa(streamer)).callback()
}

const claims = () => ({ sub: 'alice', iat: 1, exp: Date.now() / 1000 + 2, sid: 's' })

test('the stream is its owner’s and ends with the token, wherever the claims are', async () => {
  const apps = {
    'express-jwt': express5(() => ({ auth: claims() })),
    // express-oauth2-jwt-bearer
    Auth0: express5(() => ({ auth: { payload: claims(), header: { alg: 'RS256' }, token: 'x' } })),
    'passport, with the payload as user': express5(() => ({ user: claims() })),
    'koa-jwt': koa(() => ({ user: claims() })),
    'jwt.verify with complete': koa(() => ({ user: { header: {}, payload: claims() } })),
  }
  const owners: (string | undefined)[] = []
  streamer.on('clientCreated', ({ owner }) => void owners.push(owner))
  const found = await Promise.all(
    Object.entries(apps).map(async ([name, app]) => {
      const its = await listen(app as never)
      const stream = await openEvents(its.url)
      await stream.end()
      await its.close()
      return [name, stream.status, stream.infos.at(-1)]
    }),
  )
  const expired = expect.objectContaining({
    error: expect.objectContaining({ code: 'token-expired' }) as unknown,
  }) as unknown
  expect(found).toEqual(Object.keys(apps).map((name) => [name, 200, expired]))
  expect(owners).toEqual(Object.keys(apps).map(() => 'alice'))
  expect(warnings).toEqual([])
})

test.each<[string, () => unknown]>([
  ['passport', () => express5(() => ({ user: { id: 7 } }))],
  ['koa-passport', () => koa(() => ({ user: { id: 7 } }))],
])(
  '%s, with a user of the application’s: the log says once that no end is known',
  async (_n, build) => {
    running = await listen(build() as never)
    const token = new UnsecuredJWT({ exp: 2e9 }).encode()
    const signed = `${token}c2lnbmF0dXJl`
    for (const headers of [
      { authorization: `Bearer ${signed}` },
      { cookie: `a=b; jwt=${signed}` },
    ]) {
      const stream = await openEvents(running.url, headers)
      await stream.arrived('the first message', 'client_id')
    }
    expect(warnings).toEqual([expect.stringContaining('expires: principal')])
  },
)

test('a user of a session, who has no token, is nothing to warn of', async () => {
  running = await listen(express5(() => ({ user: { id: 7 } })) as never)
  const stream = await openEvents(running.url, { cookie: 'sid=eyes.eyelid.eye' })
  await stream.arrived('the first message', 'client_id')
  expect(warnings).toEqual([])
})
