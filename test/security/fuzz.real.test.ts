/** @needs a minute, for requests by the thousand */
import { connect } from 'node:net'
import fc from 'fast-check'
import { memoryDriver, Streamer } from '../../src/index.js'
import { apps, listen } from '../middleware/support/apps.js'
import { until } from '../support/until.js'
import { casesOr, held } from './figure.js'

const CASES = casesOr(2_000)
const ABREAST = 20

jest.setTimeout(30 * 60_000)

const junk = fc.string({ unit: 'binary', maxLength: 30 })
const token = fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'BREW')
const path = fc.constantFrom('/events', '/clients', '/subscriptions', '//', '/events/..', '*')
const key = fc.constantFrom('id', 'topic', 'last_event_id', 'token', '__proto__', 'id[]', '')
const query = fc
  .array(fc.tuple(key, fc.oneof(junk, fc.constantFrom('owned', 'free', '%', '%00', '%252e'))))
  .map((pairs) =>
    pairs.map(([name, value]) => `${name}=${encodeURIComponent(value.toWellFormed())}`),
  )
const rawQuery = fc.oneof(
  query.map((pairs) => pairs.join('&')),
  junk.map((text) => text.replace(/[\s\p{Cc}]/gu, '')),
)
const header = fc.tuple(
  fc.constantFrom(
    ...['Last-Event-ID', 'Accept', 'Cookie', 'Authorization', 'Origin', 'Sec-Fetch-Site'],
    ...['Content-Type', 'X-Forwarded-For', 'Expect', 'Connection', 'Upgrade', 'Range'],
  ),
  fc.oneof(
    junk.map((text) => text.replace(/[\r\n\0]/g, ' ')),
    fc.constantFrom('text/event-stream', 'application/json', '*/*;q=0', 'Bearer x', 'null', 'e-9'),
  ),
)
const name = fc.oneof(junk, fc.constantFrom('a', 'message', '', 'a\nb', '__proto__'))
const body = fc.oneof(
  junk,
  fc.json(),
  fc
    .record({
      client_id: fc.oneof(fc.constantFrom<unknown>('owned', 'free', 7, null), junk),
      add: fc.oneof(fc.array(name), fc.constantFrom<unknown>('a', 5, [5], [[]], { 0: 'a' })),
      remove: fc.oneof(fc.array(name), fc.constantFrom<unknown>(null, true)),
    })
    .map((value) => JSON.stringify(value)),
)

const wellFormed = fc
  .record({
    method: token,
    path,
    query: rawQuery,
    headers: fc.array(header, { maxLength: 5 }),
    body,
  })
  .map(({ method, path, query, headers, body }) => {
    const lines = headers.map(([field, value]) => `${field}: ${value}`)
    const length = Buffer.byteLength(body)
    return `${method} ${path}?${query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${lines.join('\r\n')}${lines.length > 0 ? '\r\n' : ''}Content-Length: ${length}\r\n\r\n${body}`
  })
/** Requests, and requests with a piece cut out or put in anywhere. */
const requests = fc.oneof(
  { weight: 3, arbitrary: wellFormed },
  {
    weight: 1,
    arbitrary: fc.tuple(wellFormed, fc.nat(), fc.nat(20), junk).map(([text, at, cut, put]) => {
      const place = at % (text.length + 1)
      return text.slice(0, place) + put + text.slice(place + cut)
    }),
  },
)

/** Sends it as it is, and gives what comes back until the head is there or nothing more comes. */
function send(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    let answer = ''
    const done = () => {
      socket.destroy()
      resolve(answer)
    }
    // A request that is cut short may wait for the rest for ever: it has had its chance then.
    socket.setTimeout(500, done)
    socket.setEncoding('latin1')
    socket.on('data', (chunk: string) => {
      answer += chunk
      if (answer.includes('text/event-stream')) done()
    })
    socket.on('error', done)
    socket.on('close', done)
    socket.end(text)
  })
}

const tried: string[] = []

// What fails leaves no table.
afterAll(() => {
  held({
    promise: 'No request breaks the server, or learns what is inside it',
    how:
      `${CASES.toLocaleString('en')} requests each, mutated in method, target, headers and body, ` +
      'on raw sockets',
    figure: `0 crashes, 0 answers of 5xx, 0 with a stack or a path, 0 streams or clients left over (${tried.join(', ')})`,
  })
})

describe.each(apps.filter(({ name }) => ['express 5', 'koa 3'].includes(name)))('$name', (app) => {
  test(`${CASES} mutated requests: no crash, no 5xx, no stack or path, nothing left over`, async () => {
    const streamer = new Streamer(memoryDriver(), { clientTTL: 1_000 })
    const running = await listen(
      app.build({ streamer, auto: {}, allow: (_principal, topic) => topic !== 'secret' }),
    )
    const port = Number(new URL(running.url).port)
    const unhandled: unknown[] = []
    const note = (error: unknown) => unhandled.push(error)
    process.on('unhandledRejection', note)
    const keep = async () => {
      for (const [id, owner] of [
        ['free', false],
        ['owned', 'alice'],
      ] as const) {
        if (!streamer.getClient(id)) await streamer.newCustomClient(id, { owner })
      }
    }
    const bad: string[] = []
    let answers = 0
    const sample = fc.sample(requests, { numRuns: CASES, seed: 7 })
    for (let at = 0; at < sample.length; at += ABREAST) {
      await keep()
      await Promise.all(
        sample.slice(at, at + ABREAST).map(async (text) => {
          const answer = await send(port, text)
          if (answer !== '') answers++
          const status = Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 0)
          // Node itself answers 501 and 505 for what its parser does not take at all.
          const failed = status >= 500 && status !== 501 && status !== 505
          const tells = /\n\s+at |node_modules|\.[jt]s:\d/.test(answer)
          if (failed || tells) bad.push(`${JSON.stringify(text)}\n→ ${answer.slice(0, 300)}`)
        }),
      )
    }
    process.off('unhandledRejection', note)
    expect(bad).toEqual([])
    expect(unhandled).toEqual([])
    await until('all streams to be gone', () => streamer.stats().connections === 0)
    await until('all clients to be forgotten', () => streamer.totalClients === 0)
    expect((await fetch(`${running.url}/events`)).status).toBe(200)
    await streamer.close()
    await running.close()
    tried.push(`${app.name}: ${answers.toLocaleString('en')} answered`)
  })
})
