import { createServer } from 'node:http'
import express from 'express'
import fastify from 'fastify'
import Koa from 'koa'
import { getRequestListener } from '@hono/node-server'
import { memoryDriver, OptionsError, Streamer } from 'unifrost'
import * as forExpress from 'unifrost/express'
import { unifrostFastify } from 'unifrost/fastify'
import * as forFetch from 'unifrost/fetch'
import * as forKoa from 'unifrost/koa'

type Methods = readonly ('GET' | 'POST')[]

interface Options {
  methods?: Methods
  /** Names the client of each request, in place of `autoClient`. */
  id?: () => string
}

const topics = ['news']

/** Builds a request listener that streams at `/events`. */
const mounts: Record<string, (streamer: Streamer, options: Options) => Promise<unknown>> = {
  async express(streamer, { id, ...methods }) {
    const app = express()
    app.set('env', 'test')
    if (!id) app.use('/events', forExpress.autoClient(streamer, { topics, ...methods }))
    app.use('/events', forExpress.unifrostExpress(streamer, { ...methods, ...(id && { id }) }))
    return app
  },
  async koa(streamer, { id, ...methods }) {
    const app = new Koa()
    app.silent = true
    if (!id) app.use(forKoa.autoClient(streamer, { topics, ...methods }))
    app.use(forKoa.unifrostKoa(streamer, { ...methods, ...(id && { id }) }))
    return app.callback()
  },
  async fetch(streamer, { id, ...methods }) {
    const stream = forFetch.handler(streamer, { ...methods, ...(id && { id }) })
    return getRequestListener(
      id ? stream : forFetch.autoClient(streamer, { topics, ...methods })(stream),
    )
  },
  async fastify(streamer, { id, ...methods }) {
    const app = fastify()
    const own = id ? { id } : { autoClient: { topics } }
    await app.register(unifrostFastify, { streamer, ...methods, ...own })
    await app.ready()
    return app.routing.bind(app)
  },
  async 'node:http'(streamer, { id, ...methods }) {
    return async (request: never, response: never) => {
      const made = id ? { id: id() } : await streamer.newClient({ transient: true })
      await streamer.handle(request, response, { id: made.id, ...methods })
    }
  },
}

describe.each(Object.keys(mounts))('which requests open a stream, with %s', (name) => {
  let streamer: Streamer
  let url: string
  let close: () => Promise<void>

  const start = async (options: Options) => {
    streamer = new Streamer(memoryDriver())
    const server = createServer((await mounts[name]!(streamer, options)) as never)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    url = `http://127.0.0.1:${(server.address() as { port: number }).port}/events`
    close = async () => {
      await streamer.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  }
  afterEach(() => close())

  /** The status of a request, and the first bytes of a stream. */
  const ask = async (method: string): Promise<[number, string]> => {
    const answer = await fetch(url, { method, ...(method === 'POST' && { body: '{"a":1}' }) })
    if (answer.status !== 200) return [answer.status, answer.headers.get('allow') ?? '']
    const reader = answer.body?.getReader()
    const { value } = (await reader?.read()) ?? {}
    await reader?.cancel()
    return [200, new TextDecoder().decode(value)]
  }

  test('GET alone, where nothing is said', async () => {
    await start({})
    expect(await ask('GET')).toEqual([200, expect.stringContaining('client_id')])
    expect(await ask('POST')).toEqual([405, 'GET, HEAD'])
  })

  test('POST too, where methods has it', async () => {
    await start({ methods: ['GET', 'POST'] })
    expect(await ask('POST')).toEqual([200, expect.stringContaining('client_id')])
    expect(await ask('GET')).toEqual([200, expect.stringContaining('client_id')])
    expect(await ask('PUT')).toEqual([405, 'GET, HEAD, POST'])
  })

  test('POST alone, where methods has nothing else', async () => {
    await start({ methods: ['POST'] })
    expect(await ask('GET')).toEqual([405, 'POST'])
    expect((await ask('POST'))[0]).toBe(200)
  })

  test('id names the client, whatever the address says', async () => {
    let id = 'mine'
    await start({ id: () => id })
    await streamer.newCustomClient('mine')
    await streamer.newCustomClient('another')
    url += '?id=another'
    expect((await ask('GET'))[1]).toContain('"client_id":"mine"')
    id = 'nobody'
    expect((await ask('GET'))[0]).toBe(401)
  })
})

test.each([[[]], [['PUT']], ['POST'], [undefined]])('methods: %p is refused', (methods) => {
  const streamer = new Streamer(memoryDriver())
  const make = () => forExpress.unifrostExpress(streamer, { methods: methods as never })
  if (methods === undefined) expect(make).not.toThrow()
  else expect(make).toThrow(OptionsError)
})
