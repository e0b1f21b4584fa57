import fc from 'fast-check'
import { patterns } from 'unifrost/express'
import { Streamer } from '../../src/index.js'
import { apps, listen } from '../middleware/support/apps.js'
import { openEvents } from '../support/event-stream.js'
import { StubDriver } from '../support/stub-driver.js'
import { casesOr, held } from './figure.js'

const CASES = casesOr(1_000)
/** A request takes a thousand times what a comparison does. */
const REQUESTS = Math.ceil(CASES / 20)
const USER = 'user-alice'

jest.setTimeout(30 * 60_000)

/** What brokers, proxies and Unicode make something else of. */
const pieces = [
  ...['orders', '.', USER, 'user-bob', '1', '*', '>', '#', '**', '$', '/', '\\', '?', '{sub}', '+'],
  ...['%2e', '%2E', '%2a', '%252e', '%252a', '%25252a', '%3e', '%23', '%00', '%', '%e2%80%a4'],
  ...['．', '․', '。', '＊', '﹡', '＞', '﹥', '＃', '﹟', '\u200b', '\u00ad', '\u2060', '\ufeff'],
  ...[
    '\u202e',
    '\u0000',
    '\n',
    ' ',
    '\t',
    '\u00a0',
    'ｏrders',
    'user-alicе',
    '\u0301',
    '\ud800',
    '',
  ],
]
const ending = fc.array(fc.oneof(fc.constantFrom(...pieces), fc.string({ unit: 'binary' })), {
  maxLength: 6,
})
const names = fc.oneof(
  ending.map((parts) => parts.join('')),
  // What gets in begins as it should, and some of it is plain.
  ending.map((parts) => `orders.${USER}.${parts.join('')}`),
  fc.string({ maxLength: 5 }).map((text) => `orders.${USER}.${text}`),
)

/** What others may make of a name: all escapes resolved, look-alikes made the same. */
function canonical(name: string): string {
  let text = name
  for (let i = 0; i < 4; i++) {
    text = text.normalize('NFKC').replace(/[\p{Cf}\p{Cc}]/gu, '')
    try {
      text = decodeURIComponent(text)
    } catch {
      break
    }
  }
  return text
}

const isOwn = (topic: string) =>
  canonical(topic) === topic && /^orders\.user-alice\.[^.*>#%?{}[\]\\\s]+$/.test(topic)

test(`no name gets past a pattern that could mean another topic (${CASES} names)`, () => {
  const authorize = patterns({ 'orders.{sub}.*': true })
  let granted = 0
  fc.assert(
    fc.property(names, (name) => {
      if (!authorize({ sub: USER }, name)) return
      granted++
      expect([name, isOwn(name)]).toEqual([name, true])
    }),
    { numRuns: CASES },
  )
  expect(granted).toBeGreaterThan(CASES / 20)
  held({
    promise: 'No wildcard, escape or look-alike gets past a pattern',
    how: `${CASES.toLocaleString('en')} names of wildcards, escapes up to three times, and Unicode look-alikes`,
    figure: `${granted.toLocaleString('en')} granted, 0 of which mean anything but an own topic`,
  })
})

describe.each(apps.filter(({ name }) => ['express 5', 'koa 3'].includes(name)))('$name', (app) => {
  test(`nor over HTTP, escaped or not (${REQUESTS} requests)`, async () => {
    const driver = new StubDriver()
    const streamer = new Streamer(driver)
    const authorize = patterns({ 'orders.{sub}.*': true })
    const allow = (principal: unknown, topic: string) => authorize(principal, topic)
    const server = await listen(app.build({ streamer, allow, auto: {}, authenticated: true }))
    const headers = { authorization: `Bearer ${USER}` }
    const client = await streamer.newClient({ owner: USER })
    const escapes = [
      (name: string) => encodeURIComponent(name),
      (name: string) => encodeURIComponent(encodeURIComponent(name)),
      (name: string) => name.replace(/[^\x21-\x22\x24-\x25\x27-\x7e]/gu, encodeURIComponent),
    ]
    const sample = fc.sample(names, { numRuns: REQUESTS, seed: 11 })
    for (const [number, text] of sample.entries()) {
      const name = text.toWellFormed()
      if (number % 4 === 3) {
        const body = JSON.stringify({ client_id: client.id, add: [name], remove: client.topics })
        const type = { 'content-type': 'application/json' }
        await fetch(`${server.url}/subscriptions`, {
          method: 'POST',
          headers: { ...headers, ...type },
          body,
        })
      } else {
        const query = escapes[number % 4]!(name)
        const stream = await openEvents(`${server.url}/events?topic=${query}`, headers)
        stream.drop()
      }
    }
    const asked = driver.openings.map(({ topic }) => topic)
    expect(asked.filter((topic) => !isOwn(topic))).toEqual([])
    expect(asked.length).toBeGreaterThan(0)
    await streamer.close()
    await server.close()
  })
})
