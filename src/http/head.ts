import { ServerResponse } from 'node:http'
import type { Client } from '../delivery/client.js'
import { OptionsError } from '../errors.js'
import type { Door } from './door.js'
import type { AnyResponse } from './response-outlet.js'

/**
 * Sends the headers of a stream, and with them whatever other middleware adds at the last moment.
 *
 * Some compressing middleware (@polka/compression, http-compression) keeps them back until the first
 * byte, and has no `flush`, so no event would ever get through. It leaves a body alone that already
 * has a coding, so it is told `identity`, which is none. Other middleware keeps back the whole body
 * until its end: it is passed by.
 */
export function sendHead(response: AnyResponse): void {
  if (!(response instanceof ServerResponse)) {
    // HTTP/2's compatibility response has this method too; its types lack it.
    const { flushHeaders } = response as { flushHeaders?: () => void }
    flushHeaders?.call(response)
    return
  }
  if (!response.headersSent) response.writeHead(response.statusCode)
  if (!response.headersSent) {
    response.setHeader('Content-Encoding', 'identity')
    response.write('')
  }
  if (!response.headersSent) {
    const { write, end, on, writeHead } = ServerResponse.prototype
    Object.assign(response, { write, end, on })
    response.removeHeader('Content-Encoding')
    writeHead.call(response, response.statusCode)
  }
  response.flushHeaders()
}

/**
 * Checks the headers that the application has sent by itself, by `writeHead` or `flushHeaders`. If
 * they are not a stream's, the response is ended, since nobody else would end it, and the client is
 * given back.
 *
 * @throws OptionsError if headers were sent that are not a stream's.
 */
export function checkHead(door: Door, client: Client, response: AnyResponse): void {
  if (!response.headersSent) return
  const { status, type, length } = headOf(response)
  if (status === 200 && /^text\/event-stream *(;|$)/i.test(type) && length === '') return
  door.abandon(client)
  // Its reader waits for as many bytes as were announced, so the connection must end.
  if (length === '') (response as ServerResponse).end()
  else response.destroy()
  throw new OptionsError(
    `The response has sent its headers already, and they are not a stream's: status ${status}, ` +
      `Content-Type ${type || 'none'}, Content-Length ${length || 'none'}. Open the stream before ` +
      'writeHead and flushHeaders, or send 200, text/event-stream and no length by them.',
  )
}

function headOf(response: AnyResponse): { status: number; type: string; length: string } {
  // Node keeps the headers that `writeHead` was given in this text alone.
  const { _header: sent } = response as { _header?: unknown }
  const header = (name: string) => {
    if (typeof sent !== 'string') return String(response.getHeader(name) ?? '')
    return new RegExp(`^${name}: *(.*?) *$`, 'im').exec(sent)?.[1] ?? ''
  }
  return {
    status: response.statusCode,
    type: header('content-type'),
    length: header('content-length'),
  }
}
