// better-sse with channels, at its best: no JSON made of text, nothing sanitised, since payloads
// here are single lines, and heartbeats as rare as unifrost's.
import { createChannel, createSession } from 'better-sse'
import { createServer } from 'node:http'
import { contend, indexOf, topicsOf } from './contender.mjs'

const asItIs = (text) => text
const options = { serializer: asItIs, sanitizer: asItIs, keepAlive: 25_000, retry: null }
const channels = new Map()
let number = 0

function channelOf(topic) {
  let channel = channels.get(topic)
  if (channel === undefined) channels.set(topic, (channel = createChannel()))
  return channel
}

async function handle(request, response) {
  const session = await createSession(request, response, options)
  for (const topic of topicsOf(indexOf(request.url))) channelOf(topic).register(session)
  session.push('hello')
}

async function inExpress() {
  const { default: express } = await import('express')
  return express().get('/events', handle)
}

const server = createServer(process.env.VIA === 'express' ? await inExpress() : handle)

contend(server, (topic, payload) => {
  channelOf(topic).broadcast(payload, topic, { eventId: `0123456789-${++number}` })
})
