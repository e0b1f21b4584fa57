import type { Http2Session } from 'node:http2'
import { Http2ServerResponse } from 'node:http2'
import type { Door } from './door.js'
import type { AnyResponse } from './response-outlet.js'

/** The HTTP/2 connections that carry or have carried streams. */
const sessions = new WeakMap<Door, Set<Http2Session>>()

/** Remembers the HTTP/2 connection of a stream until it is closed. */
export function noteSession(door: Door, response: AnyResponse): void {
  if (!(response instanceof Http2ServerResponse)) return
  const session = response.stream?.session
  if (session === undefined) return
  const noted = sessions.get(door) ?? new Set()
  sessions.set(door, noted)
  if (noted.has(session)) return
  noted.add(session)
  session.once('close', () => noted.delete(session))
}

/** The HTTP/2 connections that are open and have carried streams. */
export function sessionsOf(door: Door): Http2Session[] {
  return [...(sessions.get(door) ?? [])]
}
