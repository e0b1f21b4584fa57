import { createServer } from 'node:http'
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { OptionsError } from '../../errors.js'
import { show } from '../../option-checks.js'

/**
 * What is tested: an app of Express or connect, or another request listener; an app of Koa; one of
 * Fastify; what answers a `Request` by `fetch`, such as an app of Hono; a server of Node's, listening
 * or not; or the address of one that runs, such as `http://127.0.0.1:3000`.
 */
export type AppUnderTest =
  | string
  | URL
  | Server
  | ((request: never, response: never) => unknown)
  | { callback(): (request: never, response: never) => unknown }
  | { fetch(request: Request): Response | Promise<Response> }
  | { ready(): unknown; routing(request: never, response: never): void }

/** A server that a test talks to. */
export interface Served {
  /** Without a slash at the end. */
  readonly url: string
  /** Ends the server, if it was started for the test. */
  close(): Promise<void>
}

/** Has an app listen on a free port of this machine. @throws OptionsError */
export async function serve(app: AppUnderTest): Promise<Served> {
  if (typeof app === 'string' || app instanceof URL) {
    return { url: String(app).replace(/\/$/, ''), close: async () => undefined }
  }
  const isServer = typeof app === 'object' && app !== null && 'listen' in app && 'address' in app
  if (isServer && app.listening) return { url: urlOf(app), close: async () => undefined }
  const server = isServer ? app : createServer(await listenerOf(app))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    url: urlOf(server),
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function urlOf(server: Server): string {
  const { address, family, port } = server.address() as AddressInfo
  const isAny = address === '::' || address === '0.0.0.0'
  const host = isAny ? '127.0.0.1' : family === 'IPv6' ? `[${address}]` : address
  return `http://${host}:${port}`
}

async function listenerOf(
  app: Exclude<AppUnderTest, string | URL | Server>,
): Promise<RequestListener> {
  if (typeof app === 'function') return app as RequestListener
  if (typeof app === 'object' && app !== null) {
    if ('callback' in app) return app.callback() as RequestListener
    if ('routing' in app) {
      await app.ready()
      return (request, response) => app.routing(request as never, response as never)
    }
    if ('fetch' in app) return (request, response) => void answer(app, request, response)
  }
  throw new OptionsError(
    'openStream: app takes an app of Express, Koa or Fastify, a request listener, an object with ' +
      `fetch, a server of Node's, or an address; it got ${show(app)}.`,
  )
}

/** Answers by `fetch`. The request that is cut off is aborted. */
async function answer(
  app: { fetch(request: Request): Response | Promise<Response> },
  asked: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const cut = new AbortController()
  response.once('close', () => cut.abort())
  const { method = 'GET', headers, url = '/' } = asked
  const hasBody = method !== 'GET' && method !== 'HEAD'
  const init = {
    ...{ method, signal: cut.signal, headers: headers as Record<string, string> },
    ...(hasBody && { body: Readable.toWeb(asked), duplex: 'half' }),
  } as RequestInit
  try {
    const answered = await app.fetch(new Request(`http://${headers.host}${url}`, init))
    response.writeHead(answered.status, Object.fromEntries(answered.headers))
    response.flushHeaders()
    const body: AsyncIterable<Uint8Array> | Uint8Array[] = answered.body ?? []
    for await (const piece of body) response.write(piece)
    response.end()
  } catch {
    // It was cut off, or the app has failed: the reader sees the end in either case.
    response.destroy()
  }
}
