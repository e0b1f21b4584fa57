import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { allocateChunk } from '../wire/encode.js'

/**
 * Packages that wrap a response's `write`, and hand on what they are given without noting it, once
 * the headers are sent and it is not compressed.
 */
const PASSING_ON = /[\\/]node_modules[\\/](@polka[\\/]|http-)?compression[\\/]/
/** A stack that is deeper is not looked through. */
const DEEPEST = 1_000

/** What {@link tryWrite} has found. */
export interface Trial {
  /** What the response's `write` has answered. */
  wrote: unknown
  /** Whether the socket may be written to instead, and nobody would miss anything. */
  passedOn: boolean
}

/**
 * Calls a response's `write`, which other middleware has wrapped, and watches the socket meanwhile.
 *
 * Two things must hold for the response to be passed by from then on. The bytes have arrived at the
 * socket at once and unchanged, as one chunk. And all that was called on the way belongs to Node or
 * to a package that is known to pass on: what an application has written itself may record or count
 * the bytes, which can't be seen from outside, so it goes on getting all of them.
 */
export function tryWrite(response: ServerResponse, socket: Socket, bytes: Buffer): Trial {
  // Somebody else watches the socket.
  if (Object.hasOwn(socket, 'write')) return { wrote: response.write(bytes), passedOn: false }
  const arrived: Buffer[] = []
  let isKnown = true
  const below = stackOf(tryWrite)?.length
  const watch = (chunk: Uint8Array | string, ...rest: unknown[]): boolean => {
    const encoding = typeof rest[0] === 'string' ? (rest[0] as BufferEncoding) : 'utf8'
    arrived.push(typeof chunk === 'string' ? Buffer.from(chunk, encoding) : Buffer.from(chunk))
    if (isKnown) isKnown = below !== undefined && isOnlyPassedOn(stackOf(watch), below)
    return Reflect.apply(write, socket, [chunk, ...rest]) as boolean
  }
  const { write } = socket
  socket.write = watch
  let wrote: unknown
  try {
    wrote = response.write(bytes)
  } finally {
    // The socket's class has the method again.
    Reflect.deleteProperty(socket, 'write')
  }
  return { wrote, passedOn: isKnown && Buffer.concat(arrived).equals(chunkOf(bytes)) }
}

function chunkOf(bytes: Buffer): Buffer {
  const { chunked, start } = allocateChunk(bytes.length, true)
  bytes.copy(chunked, start)
  return chunked
}

/**
 * Who has called whom, down from `from`. Undefined if that can't be told: the stack is too deep, or
 * the process has frozen `Error`.
 */
function stackOf(from: (...args: never[]) => unknown): NodeJS.CallSite[] | undefined {
  const { prepareStackTrace, stackTraceLimit } = Error
  const holder: { stack?: unknown } = {}
  // Not by assignment, which throws where `Error` is frozen.
  Reflect.set(Error, 'stackTraceLimit', DEEPEST)
  Reflect.set(Error, 'prepareStackTrace', (_error: Error, sites: NodeJS.CallSite[]) => sites)
  try {
    Error.captureStackTrace(holder, from)
    const { stack } = holder
    return Array.isArray(stack) && stack.length < DEEPEST ? (stack as NodeJS.CallSite[]) : undefined
  } finally {
    Reflect.set(Error, 'prepareStackTrace', prepareStackTrace)
    Reflect.set(Error, 'stackTraceLimit', stackTraceLimit)
  }
}

/** Whether all that was called above the `below` lowest, and above the call of theirs, passes on. */
function isOnlyPassedOn(stack: NodeJS.CallSite[] | undefined, below: number): boolean {
  return stack?.slice(0, stack.length - below - 1).every(isPassingOn) ?? false
}

function isPassingOn(site: NodeJS.CallSite): boolean {
  const file = site.getFileName()
  return typeof file === 'string' && (file.startsWith('node:') || PASSING_ON.test(file))
}
