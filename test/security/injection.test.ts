import { createParser } from 'eventsource-parser'
import fc from 'fast-check'
import { encodeEvent, isSendable } from '../../src/wire/encode.js'
import type { WireErrorCode } from '../../src/wire/messages.js'
import { configMessage, errorMessage } from '../../src/wire/messages.js'
import { memoryDriver, Streamer } from '../../src/index.js'
import type { ReceivedEvent } from '../support/event-stream.js'
import { parseEvents } from '../support/event-stream.js'
import { casesOr, held } from './figure.js'

const CASES = casesOr(300)

/** Text with everything in it that an event stream gives a meaning to. */
const hostile = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        ...['\n', '\r', '\r\n', '\n\n', 'data:', 'data: x', 'id: 9', 'event: evil', 'retry: 1'],
        ...[':', ': ', ' ', '\0', '\ufeff', '\u2028', '\u0085', '{"error":', '\ud800', '😀', ''],
      ),
      fc.string({ unit: 'binary', maxLength: 8 }),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''))

/** The other parser, by other people. */
function parseElsewhere(text: string): ReceivedEvent[] {
  const events: ReceivedEvent[] = []
  let last = ''
  const parser = createParser({
    onEvent({ id, event, data }) {
      last = id ?? last
      events.push({ event: event || 'message', data, id: last })
    },
  })
  parser.feed(text)
  return events
}

/** What a browser makes of a payload: its line ends are LF, and what is no Unicode is U+FFFD. */
const asReceived = (text: string) => text.toWellFormed().replace(/\r\n|\r/g, '\n')

const parsers = { ours: parseEvents, theirs: parseElsewhere }

describe.each(Object.entries(parsers))('as %s parses it', (_name, parse) => {
  test(`no payload, topic or id adds a field or an event (${CASES} cases)`, () => {
    const streamer: Streamer = new Streamer(memoryDriver())
    fc.assert(
      fc.property(hostile, hostile, (topic, payload) => {
        try {
          streamer.checkTopicName(topic)
        } catch {
          expect(() => encodeEvent({ event: topic, data: 'x' })).not.toThrow(TypeError)
          return
        }
        const before = encodeEvent({ id: 'e-1', event: 'before', data: 'first' }).bytes
        const event = encodeEvent({ id: 'e-2', event: topic, data: payload }).bytes
        const after = encodeEvent({ event: 'after', data: 'last' }).bytes
        const text = Buffer.concat([before, event, after]).toString('utf8')
        expect(parse(text)).toEqual([
          { event: 'before', data: 'first', id: 'e-1' },
          { event: topic, data: asReceived(payload), id: 'e-2' },
          { event: 'after', data: 'last', id: 'e-2' },
        ])
      }),
      { numRuns: CASES },
    )
  })

  test(`nor bytes, whatever they are (${CASES} cases)`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        if (!isSendable(bytes)) return
        const text = encodeEvent({ event: 't', data: bytes }).bytes.toString('utf8')
        const data = asReceived(Buffer.from(bytes).toString('utf8'))
        expect(parse(text)).toEqual([{ event: 't', data, id: '' }])
      }),
      { numRuns: CASES },
    )
  })

  test(`nor a client's id, a topic or a message in what we say ourselves (${CASES} cases)`, () => {
    fc.assert(
      fc.property(hostile, hostile, (one, other) => {
        const config = { client_id: one, client_ttl_millis: 1 }
        const first = configMessage(config, [one, other], { id: 'e-1', retry: 1 }).bytes
        const code: WireErrorCode = 'messages-lost'
        const error = errorMessage({ code, topic: one, message: other }).bytes
        const events = parse(Buffer.concat([first, error]).toString('utf8'))
        expect(events.map(({ event }) => event)).toEqual(['message', 'message'])
        expect(JSON.parse(events[0]!.data)).toEqual({ config, subscriptions: [one, other] })
        expect(JSON.parse(events[1]!.data)).toEqual({ error: { code, topic: one, message: other } })
      }),
      { numRuns: CASES },
    )
  })
})

test(`an id or a topic that could forge a field is refused (${CASES} cases)`, () => {
  fc.assert(
    fc.property(hostile, (text) => {
      const forges = /[\r\n\0]/.test(text)
      for (const fields of [{ id: text }, { event: text }]) {
        const encode = () => encodeEvent({ ...fields, data: '' })
        if (forges) expect(encode).toThrow(RangeError)
        else expect(encode).not.toThrow()
      }
    }),
    { numRuns: CASES },
  )
})

// What fails leaves no table.
afterAll(() => {
  held({
    promise: 'Nothing that anybody publishes or sends adds a field or an event to a stream',
    how:
      `${CASES.toLocaleString('en')} cases each for payloads with topics and ids, for bytes, and ` +
      'for what we say ourselves; read by two independent parsers',
    figure: `0 of ${(6 * CASES).toLocaleString('en')} streams were read as anything but what was written`,
  })
})
