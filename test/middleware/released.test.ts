import type { IncomingMessage, ServerResponse } from 'node:http'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import express from 'express'
import Koa from 'koa'
import { memoryDriver, Streamer } from 'unifrost'
import * as forExpress from 'unifrost/express'
import * as forKoa from 'unifrost/koa'
import { openEvents } from '../support/event-stream.js'
import { until } from '../support/until.js'
import { listen } from './support/apps.js'

// Node keeps a request as long as its response is open, with all that the application has put
// there. What the application takes away again must be free: a stream may last for hours. Only the
// user stays, who is asked for again when rights are looked at.

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

type Listener = (request: IncomingMessage, response: ServerResponse) => void
type Carrier = Record<string, unknown>

/** What a request brings along, and how it is taken away again. */
class Luggage {
  readonly refs = new Map<string, WeakRef<object>>()
  private readonly carriers: [Carrier, string][] = []

  put(carrier: object, name: string, value: object): void {
    ;(carrier as Carrier)[name] = value
    this.refs.set(name, new WeakRef(value))
    this.carriers.push([carrier as Carrier, name])
  }

  takeAway(): void {
    for (const [carrier, name] of this.carriers) carrier[name] = undefined
  }

  /** The names of what is still kept by somebody. */
  get kept(): string[] {
    collect()
    return [...this.refs].filter(([, ref]) => ref.deref() !== undefined).map(([name]) => name)
  }
}

const topics = ['news']

test.each([
  [
    'Express',
    (streamer: Streamer, luggage: Luggage) => {
      const app = express()
      app.use((request, _response, next) => {
        luggage.put(request, 'locals', { id: 'me' })
        luggage.put(request, 'body', { large: 'x'.repeat(1_000) })
        luggage.put(request, 'session', { cart: [] })
        next()
      })
      app.use(forExpress.autoClient(streamer, { topics }), forExpress.unifrostExpress(streamer))
      return app as Listener
    },
  ],
  [
    'Koa',
    (streamer: Streamer, luggage: Luggage) => {
      const app = new Koa()
      app.use(async (ctx, next) => {
        luggage.put(ctx.state, 'locals', { id: 'me' })
        luggage.put(ctx.request, 'body', { large: 'x'.repeat(1_000) })
        luggage.put(ctx, 'session', { cart: [] })
        await next()
      })
      app.use(forKoa.autoClient(streamer, { topics })).use(forKoa.unifrostKoa(streamer))
      return app.callback()
    },
  ],
])('in %s an open stream keeps nothing of what its request had', async (_name, mount) => {
  const streamer = new Streamer(memoryDriver())
  const luggage = new Luggage()
  const running = await listen(mount(streamer, luggage))
  const stream = await openEvents(`${running.url}/`)
  await stream.arrived('the first message', 'client_id')
  expect(luggage.kept).toEqual(['locals', 'body', 'session'])
  luggage.takeAway()
  await until('all to be let go', () => luggage.kept.length === 0)
  await streamer.close()
  await stream.end()
  await running.close()
})
