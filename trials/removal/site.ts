import { once } from 'node:events'
import type { Server } from 'node:http'
import { createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Directory } from '../../src/index.js'
import { memoryDriver, Streamer } from '../../src/index.js'

/** One server in this process, with streams over HTTP. */
export interface Site {
  readonly streamer: Streamer
  readonly url: string
  stop(): Promise<void>
}

/** A stream as its page has it. */
export interface Stream {
  readonly status: number
  /** Settles when it has ended. */
  readonly ended: Promise<unknown>
  cut(): void
}

/**
 * Starts a server. It takes the user and the log-in from the address, as no server outside a trial
 * does: `?owner=…&session=…`, and `&auto` for an automatic client.
 */
export async function startSite(directory: Directory, name: string): Promise<Site> {
  const streamer = new Streamer(memoryDriver(), { directory, server: name })
  await streamer.open()
  const server = createServer((request, response) => {
    const query = new URL(request.url!, 'http://site').searchParams
    const owner = query.get('owner')!
    const terms = { owner, session: query.get('session') ?? undefined }
    void (async () => {
      const made = query.has('auto') && (await streamer.newClient({ owner, transient: true }))
      await streamer.handle(request, response, made ? { ...terms, id: made.id } : terms)
      if (made && response.statusCode !== 200) await made.close()
    })()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return { streamer, url: `http://127.0.0.1:${port}/`, stop: () => stop(streamer, server) }
}

/** Asks for a stream. It has ended where the answer is an error. */
export async function openStream(url: string, query: Record<string, string>): Promise<Stream> {
  const request = get(`${url}?${new URLSearchParams(query).toString()}`, { agent: false })
  const cut = () => void request.destroy()
  request.on('error', () => undefined)
  const [response] = (await once(request, 'response')) as [
    NodeJS.ReadableStream & { statusCode: number },
  ]
  response.on('error', () => undefined).resume()
  const ended = new Promise((resolve) => response.on('close', resolve))
  return { status: response.statusCode, ended, cut }
}

async function stop(streamer: Streamer, server: Server): Promise<void> {
  await streamer.close()
  server.closeAllConnections()
  server.close()
}
