import { once } from 'node:events'
import type { RequestListener, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { connect } from 'node:net'
import { memoryDriver } from '../../src/drivers/memory.js'
import type { MemoryDriver } from '../../src/drivers/memory.js'
import type { StreamerOptions } from '../../src/options.js'
import { Streamer } from '../../src/streamer.js'
import { until } from './until.js'

/** A Streamer behind `node:http` on a free port. */
export interface Served {
  streamer: Streamer
  driver: MemoryDriver
  server: Server
  port: number
  /** The responses that were handed out, in order. */
  responses: ServerResponse[]
  /** Opens a socket and sends a request as it stands. */
  raw(request: string): RawClient
  /** Closes everything, and fails where a connection or a listener is left. */
  dispose(): Promise<void>
}

/** Serves `streamer.handle`, unless `listener` does something else with the request. */
export async function serve(
  options: StreamerOptions = {},
  listener?: (served: Served) => RequestListener,
): Promise<Served> {
  const driver = memoryDriver()
  const streamer = new Streamer(driver, options)
  const clients: RawClient[] = []
  const server = createServer()
  const served: Served = {
    streamer,
    driver,
    server,
    port: 0,
    responses: [],
    raw(request) {
      const client = new RawClient(served.port, request)
      clients.push(client)
      return client
    },
    async dispose() {
      for (const client of clients) client.socket.destroy()
      await streamer.close()
      expect(streamer.stats().connections).toBe(0)
      for (const response of served.responses) {
        expect(response.socket?.listeners('drain').length ?? 0).toBeLessThan(2)
      }
      const closed = once(server, 'close')
      server.close()
      server.closeIdleConnections()
      await closed
    },
  }
  const handle = listener?.(served) ?? ((req, res) => void streamer.handle(req, res))
  server.on('request', (req, res) => {
    served.responses.push(res)
    handle(req, res)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  served.port = (server.address() as AddressInfo).port
  return served
}

/** A GET of a client's stream, as text. */
export function get(id: string, headers = '', version = '1.1'): string {
  return `GET /?id=${id} HTTP/${version}\r\nHost: localhost\r\n${headers}\r\n`
}

/** A socket that shows the bytes as they came. */
export class RawClient {
  readonly socket: Socket
  ended = false
  private readonly parts: Buffer[] = []

  constructor(port: number, request: string) {
    this.socket = connect(port, '127.0.0.1', () => this.socket.write(request))
    this.socket.on('data', (bytes) => this.parts.push(bytes))
    this.socket.on('error', () => undefined)
    this.socket.on('close', () => (this.ended = true))
    this.socket.on('end', () => (this.ended = true))
  }

  get bytes(): Buffer {
    const joined = Buffer.concat(this.parts)
    this.parts.splice(0, this.parts.length, joined)
    return joined
  }

  get text(): string {
    return this.bytes.toString('utf8')
  }

  /** What comes after the first response's header. */
  get body(): Buffer {
    const { bytes } = this
    return bytes.subarray(bytes.indexOf('\r\n\r\n') + 4)
  }

  /** Waits until the text holds this. */
  async has(text: string): Promise<void> {
    await until(`${JSON.stringify(text)} in ${JSON.stringify(this.text.slice(-300))}`, () =>
      this.text.includes(text),
    )
  }

  async end(): Promise<void> {
    await until('the end of the connection', () => this.ended)
  }
}

/**
 * Takes HTTP/1.1's chunked coding apart by RFC 9112, section 7.1, and refuses what is not valid.
 *
 * @returns the content so far, and whether the last chunk has come.
 */
export function dechunk(bytes: Buffer): { content: Buffer; complete: boolean; rest: Buffer } {
  const parts: Buffer[] = []
  let at = 0
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at)
    if (lineEnd < 0) break
    const head = bytes.subarray(at, lineEnd).toString('latin1')
    if (!/^[0-9a-f]+$/i.test(head)) throw new Error(`Not a chunk's size: ${JSON.stringify(head)}`)
    const size = parseInt(head, 16)
    const end = lineEnd + 2 + size
    if (bytes.length < end + 2) break
    if (bytes.subarray(end, end + 2).toString('latin1') !== '\r\n') {
      throw new Error('A chunk does not end where it says.')
    }
    at = end + 2
    if (size === 0) return done(true)
    parts.push(bytes.subarray(lineEnd + 2, end))
  }
  return done(false)

  function done(complete: boolean) {
    return { content: Buffer.concat(parts), complete, rest: bytes.subarray(at) }
  }
}
