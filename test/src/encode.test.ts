import fc from 'fast-check'
import type { Encoded } from '../../src/wire/encode.js'
import { encodeComment, encodeEvent, encodePosition, isSendable } from '../../src/wire/encode.js'
import { dechunk } from '../support/http-server.js'
import { SseParser } from '../support/sse-parser.js'

const parse = (bytes: Uint8Array) => new SseParser().feed(bytes)
const withLineFeeds = (text: string) => text.replaceAll(/\r\n?/g, '\n')

const hostile = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({
    unit: fc.constantFrom('\r', '\n', '\0', ':', ' ', 'data: x', 'id: 1', '\uFEFF', 'é'),
  }),
)
const name = hostile.filter((text) => text !== '' && !/[\r\n\0]/.test(text) && text.isWellFormed())
const withoutId = ({ bytes, length, idLength }: Encoded) =>
  Buffer.concat([bytes.subarray(0, length - idLength - 1), bytes.subarray(length - 1)])
const id = fc.stringMatching(/^[0-9a-f]{1,10}-\d{1,16}$/)

describe('an encoded event', () => {
  test('reads back as it was, whatever is in it', () => {
    fc.assert(
      fc.property(
        fc.option(id, { nil: undefined }),
        fc.option(name, { nil: undefined }),
        fc.option(fc.nat(), { nil: undefined }),
        hostile,
        fc.boolean(),
        (id, event, retry, text, asBytes) => {
          const data = asBytes ? Buffer.from(text) : text
          const [read, ...more] = parse(encodeEvent({ id, event, retry, data }).bytes)
          expect(more).toEqual([])
          expect(read).toEqual({
            type: event ?? 'message',
            data: withLineFeeds(text.toWellFormed()),
            lastEventId: id ?? '',
            hasId: id !== undefined,
            retry,
          })
        },
      ),
      { numRuns: 400 },
    )
  })

  test('is one valid chunk, and without its id the same event', () => {
    fc.assert(
      fc.property(id, name, hostile, (id, event, data) => {
        const encoded = encodeEvent({ id, event, data })
        const { content, rest } = dechunk(encoded.chunked)
        expect(rest).toHaveLength(0)
        expect(content.equals(encoded.bytes)).toBe(true)
        expect(encoded.length).toBe(encoded.bytes.length)
        const [withId] = parse(encoded.bytes)
        const [without] = parse(withoutId(encoded))
        expect(without).toEqual({ ...withId, lastEventId: '', hasId: false })
      }),
      { numRuns: 200 },
    )
  })

  test.each(['a\rb', 'a\nb', 'a\r\nb', 'a\0b', '\n'])(
    'refuses %j in its id and its name',
    (bad) => {
      expect(() => encodeEvent({ id: bad, data: '' })).toThrow(RangeError)
      expect(() => encodeEvent({ event: bad, data: '' })).toThrow(RangeError)
    },
  )

  test('has a data line for each line, however lines end', () => {
    const { bytes } = encodeEvent({ data: 'a\r\nb\rc\nd\n\re\r\n' })
    expect(bytes.toString()).toBe('data: a\ndata: b\ndata: c\ndata: d\ndata: \ndata: e\ndata: \n\n')
  })

  test('carries an empty payload, NUL, emoji and a byte order mark', () => {
    for (const data of ['', '\0', '👩‍👩‍👧', '\uFEFFx', ' x', ':x']) {
      expect(parse(encodeEvent({ event: 't', data }).bytes)).toMatchObject([{ type: 't', data }])
    }
  })

  test('replaces half a surrogate pair', () => {
    expect(parse(encodeEvent({ data: 'a\ud800b\udc00' }).bytes)[0]!.data).toBe('a\ufffdb\ufffd')
  })

  test('copies its payload, and does not sit in the shared pool', () => {
    const payload = Buffer.from('before')
    const { bytes, chunked } = encodeEvent({ data: payload })
    payload.fill('x')
    expect(bytes.toString()).toBe('data: before\n\n')
    expect(chunked.buffer.byteLength).toBe(chunked.length)
  })

  test('takes a mebibyte, and a view into a larger buffer', () => {
    const large = 'é'.repeat(512 * 1024)
    expect(parse(encodeEvent({ data: large }).bytes)[0]!.data).toBe(large)
    const view = new Uint8Array(Buffer.from('..view..')).subarray(2, 6)
    expect(parse(encodeEvent({ data: view }).bytes)[0]!.data).toBe('view')
  })
})

test('only UTF-8 can be sent as it is', () => {
  expect(isSendable('\ud800')).toBe(true)
  expect(isSendable(Buffer.from('é'))).toBe(true)
  expect(isSendable(Uint8Array.of(0xff))).toBe(false)
  expect(isSendable(Uint8Array.of(0xed, 0xa0, 0x80))).toBe(false)
  expect(isSendable(Uint8Array.of(0xc3))).toBe(false)
})

test('a comment is no event', () => {
  const parser = new SseParser()
  expect(parser.feed(encodeComment().bytes)).toEqual([])
  expect(parser.comments).toBe(1)
})

test('a position alone is no event, but counts', () => {
  const parser = new SseParser()
  expect(parser.feed(encodePosition('e-7').bytes)).toEqual([])
  expect(parser.lastEventId).toBe('e-7')
  expect(() => encodePosition('e-7\nid: x')).toThrow(RangeError)
})

test('an event behind a position is the same event, and one chunk', () => {
  const event = encodeEvent({ id: 'e-8', data: 'x' })
  const encoded = encodeEvent({ id: 'e-8', data: 'x', resumes: 'e-7' })
  expect(dechunk(encoded.chunked).content.equals(encoded.bytes)).toBe(true)
  const ahead = ':\nevent: unifrost-connection\nid: e-7\n\n'
  expect(encoded.bytes.toString()).toBe(ahead + event.bytes.toString())
})
