import { compareIds, judge, parseInfo, START } from '../../../src/drivers/redis-streams/position.js'
import type { StreamInfo } from '../../../src/drivers/redis-streams/position.js'

test('ids are in the order of their two numbers, of up to 64 bits each', () => {
  const sorted = ['0-0', '0-1', '9-0', '10-2', '10-10', '1700000000000-0', '18446744073709551615-1']
  const shuffled = [...sorted].sort().reverse()
  expect(shuffled.sort(compareIds)).toEqual(sorted)
})

test('XINFO STREAM is understood, with an entry and without, counted and not', () => {
  const entry = [Buffer.from('5-0'), [Buffer.from('data'), Buffer.from('x')]]
  const name = (text: string) => Buffer.from(text)
  const base = [name('length'), 3, name('last-generated-id'), name('7-0')]
  expect(parseInfo([...base, name('entries-added'), 9, name('first-entry'), entry])).toEqual({
    last: '7-0',
    length: 3,
    added: 9,
    first: '5-0',
  })
  expect(parseInfo([...base, name('first-entry'), null])).toEqual({
    last: '7-0',
    length: 3,
    added: undefined,
    first: undefined,
  })
})

/** A stream in which the nth entry has the id n-0, as XINFO would tell of it. */
function stream(added: number, length: number): StreamInfo {
  const first = length > 0 ? `${added - length + 1}-0` : undefined
  return { last: `${added}-0`, length, added, first }
}
const at = (count: number) => (count === 0 ? START : { id: `${count}-0`, count })
const gone = (count: number) => `${count} entries of the stream were gone before they were read.`
const ids = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => `${from + index}-0`)

describe('what a stream says of itself after a read', () => {
  test.each([
    ['nothing new', at(10), [], stream(10, 5)],
    ['all that is new, kept', at(10), ids(11, 13), stream(13, 13)],
    ['all that is new, with what was before trimmed', at(10), ids(11, 13), stream(13, 3)],
    ['all that is new, trimmed since', at(10), ids(11, 13), stream(13, 0)],
    ['a part of what is new', at(10), ids(11, 13), stream(90, 80)],
    ['a part of what is new, itself trimmed in part', at(10), ids(11, 13), stream(90, 78)],
    ['a part of what is new, itself trimmed as a whole', at(10), ids(11, 13), stream(90, 77)],
    ['the first entries of a new stream', START, ids(1, 3), stream(3, 3)],
    ['a stream that is not there yet', START, [], undefined],
  ])('%s: nothing is missing', (_, from, read, info) => {
    const place = read.length > 0 ? at(Number.parseInt(read.at(-1) as string)) : from
    expect(judge(from, read, info)).toEqual({ place })
  })

  test.each([
    ['trimmed before the read, up to it', at(10), ids(15, 20), stream(20, 6), 20],
    ['trimmed before the read, more to come', at(10), ids(15, 20), stream(50, 36), 20],
    ['trimmed before the read and into it since', at(10), ids(15, 20), stream(50, 33), 20],
    ['trimmed, with nothing read', at(10), [], stream(50, 20), 30],
  ])('%s: the gap is before', (_, from, read, info, count) => {
    const verdict = judge(from, read, info)
    expect(verdict.before).toMatch(/entries of the stream were gone/)
    expect(verdict.after).toBeUndefined()
    expect(verdict.place.count).toBe(count)
  })

  test('trimmed past all that was read: the gap is before and after', () => {
    const verdict = judge(at(10), ids(11, 13), stream(90, 20))
    expect([verdict.before, verdict.after]).toEqual([gone(57), gone(57)])
    expect(verdict).toMatchObject({ place: { id: '13-0', count: 70 } })
    expect(judge(verdict.place, ids(71, 90), stream(90, 20))).toEqual({ place: at(90) })
  })

  test('deleted: the gap is after, and it is read from its beginning if it comes again', () => {
    expect(judge(at(10), ids(11, 12), undefined)).toMatchObject({
      after: expect.stringMatching(/deleted/),
      place: START,
    })
  })

  test('begun anew with lower ids, or gone back: the gap is after, read on from its end', () => {
    const place = { id: '3-0', count: 3 }
    expect(judge(at(10), [], stream(3, 3))).toMatchObject({
      after: expect.stringMatching(/older/),
      place,
    })
  })

  test('begun anew with higher ids: the gap is before', () => {
    const anew = { last: '13-0', length: 2, added: 2, first: '12-0' }
    const place = { id: '13-0', count: 2 }
    expect(judge(at(10), ids(12, 13), anew)).toMatchObject({
      before: expect.stringMatching(/anew/),
      place,
    })
    const longer = { last: '90-0', length: 5, added: 5, first: '12-0' }
    expect(judge(at(10), ids(12, 13), longer)).toMatchObject({
      before: expect.stringMatching(/anew/),
    })
  })

  test('before version 7 nothing is counted, and a stream trimmed past us is a gap', () => {
    const from = { id: '10-0', count: undefined }
    const old = (info: StreamInfo) => ({ ...info, added: undefined })
    expect(judge(from, ids(11, 13), old(stream(13, 5))).before).toBeUndefined()
    expect(judge(from, ids(11, 13), old(stream(13, 3))).before).toMatch(/trimmed/)
    expect(judge(from, [], old(stream(10, 0))).before).toBeUndefined()
  })
})
