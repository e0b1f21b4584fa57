import { once } from 'node:events'
import type { Socket } from 'node:net'
import { connect } from 'node:net'

/** Sends these bytes on a connection of its own. */
export async function rawRequest(url: string, bytes: string): Promise<Socket> {
  const { port, hostname } = new URL(url)
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  socket.on('error', () => undefined)
  socket.write(bytes)
  return socket
}
