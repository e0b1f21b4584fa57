import type { Approach } from './load-client.js'
import type { Running, Shape } from './node-contender.js'
import { NodeContender } from './node-contender.js'

/** Somebody who is measured. */
export interface Contender {
  readonly name: string
  /** What it is and how it is set up, for the docs. */
  readonly what: string
  readonly approach: Approach
  /** Gets what it needs. Rejects with why it can't be had on this machine. */
  prepare?(): Promise<void>
  start(shape: Shape): Promise<Running>
}

const SSE: Approach = { protocol: 'sse', path: '/events?i=%d' }

function node(name: string, file: string, what: string, more: Partial<Contender> = {}): Contender {
  return { name, what, approach: SSE, start: (shape) => NodeContender.start(file, shape), ...more }
}

export const floor = node(
  'floor',
  'floor',
  'bytes in chunk framing made once, joined once per turn, straight to the sockets: the limit in Node',
)
export const loop = node('loop', 'loop', 'one `Buffer` for all, `res.write` to each client')
export const unifrost = node('unifrost', 'unifrost', 'as published, on `node:http`, its defaults')
export const http = node('node:http', 'http', 'holds its responses and writes nothing')
export const express = node(
  'Express tutorial',
  'express',
  '`res.write` of a string made for each client',
)
export const koa = node('Koa tutorial', 'koa', 'a `PassThrough` for each client, a string each')
export const betterSse = node(
  'better-sse',
  'better-sse',
  '`Channel.broadcast`, text as it is, nothing sanitised, heartbeat of 25 s',
)
export const fastifySse = node(
  '@fastify/sse',
  'fastify-sse',
  '`reply.sse.send` to each client, text as it is, no log, heartbeat of 25 s',
)
export const socketIo = node(
  'Socket.IO',
  'socket-io',
  'WebSocket only, a room for each topic, no compression',
  {
    approach: {
      protocol: 'websocket',
      path: '/socket.io/?EIO=4&transport=websocket&i=%d',
      greetings: ['', '40'],
      prefix: '42',
    },
  },
)

export const betterSseInExpress = node(
  'better-sse, express',
  'better-sse',
  'the same as a handler of Express 5',
  { start: (shape) => NodeContender.start('better-sse', shape, { VIA: 'express' }) },
)
export const bareExpress = node(
  'Express, bare',
  'bare-express',
  'Express 5 with a handler that keeps its responses open',
)

/** unifrost with something around it. */
export function unifrostVia(via: string, env: Record<string, string> = {}): Contender {
  return {
    ...unifrost,
    name: `unifrost, ${via}`,
    ...(via === 'http2' && { approach: { protocol: 'http2', path: '/events?i=%d' } }),
    start: (shape) => NodeContender.start('unifrost', shape, { VIA: via, ...env }),
  }
}
