import { jetstreamDriver } from '../../../src/drivers/jetstream.js'
import type { JetStreamDriverOptions } from '../../../src/drivers/jetstream.js'
import type { StreamInfo } from '../../../src/brokers/nats/jetstream.js'
import { reasonOf } from '../../../src/brokers/nats/jetstream.js'
import { place } from '../../../src/drivers/jetstream/position.js'
import { overlaps, SubjectTree } from '../../../src/drivers/jetstream/subjects.js'
import { recordingSink } from '../../../src/testing/index.js'

describe('jetstreamDriver refuses at once', () => {
  test.each([
    ['', 'as the address'],
    ['http://127.0.0.1:4222', 'jetstreamDriver got'],
    [{ servers: [] }, '{ servers }'],
    [undefined, '{ servers }'],
  ])('%j as an address', (target, part) => {
    const make = () => jetstreamDriver(target as string, { stream: 'S' })
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_UNIFROST_OPTIONS' }))
    expect(make).toThrow(part)
  })

  test.each([
    [{}, 'stream'],
    [{ stream: 'a.b' }, 'without white space, dots'],
    [{ stream: 'a b' }, 'stream'],
    [{ stream: 'x'.repeat(256) }, 'stream'],
    [{ stream: 'S', create: true }, '{ subjects }'],
    [{ stream: 'S', create: { subjects: [] } }, '{ subjects }'],
    [{ stream: 'S', filter: [] }, 'filter'],
    [{ stream: 'S', filter: '' }, 'filter'],
    [{ stream: 'S', heartbeat: 99 }, 'from 100'],
    [{ stream: 'S', subscribeTimeout: 0 }, 'subscribeTimeout'],
    [{ stream: 'S', connectTimeout: Infinity }, 'connectTimeout'],
    [{ stream: 'S', encoding: 'latin1' }, 'encoding'],
    [{ stream: 'S', address: 's.a' }, 'address'],
    [{ stream: 'S', payload: 's.a' }, 'payload'],
    [{ stream: 'S', domain: '' }, 'domain'],
    [{ stream: 'S', subjects: 's.>' }, 'no option subjects'],
  ])('%p as options', (options, part) => {
    const make = () => jetstreamDriver('nats://127.0.0.1', options as JetStreamDriverOptions)
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_UNIFROST_OPTIONS' }))
    expect(make).toThrow(part)
  })

  test.each(['', 'a b', 'a..b', 'a.>.b', 'a\r\nPUB x 1'])('%j as a subject', async (subject) => {
    const driver = jetstreamDriver('nats://127.0.0.1', { stream: 'S', address: () => subject })
    const asking = driver.subscribe('x', recordingSink())
    await expect(asking).rejects.toMatchObject({ code: 'ERR_UNIFROST_TOPIC_NAME' })
    await driver.close()
  })
})

test.each([
  ['a.b', 'a.b', true],
  ['a.b', 'a.c', false],
  ['a.b', 'a', false],
  ['a.*', 'a.b', true],
  ['a.*', '*.b', true],
  ['a.*', 'b.*', false],
  ['a.>', 'a', false],
  ['a.>', 'a.b.c', true],
  ['*.b.>', 'a.*.c', true],
  ['>', 'a', true],
  ['*', 'a.b', false],
])('%s and %s have subjects in common: %p', (a, b, expected) => {
  expect(overlaps(a, b)).toBe(expected)
  expect(overlaps(b, a)).toBe(expected)
})

test('a tree of subjects finds what asking each of them finds, and keeps nothing', () => {
  const words = ['a', 'b', '*']
  const asked = [
    '>',
    ...words,
    ...words.flatMap((word) => [`${word}.>`, ...words.map((w) => `${word}.${w}`)]),
  ]
  const deep = asked.flatMap((subject) => [subject, `a.${subject}`])
  const tree = new SubjectTree<string>()
  for (const subject of deep) tree.add(subject, subject)
  for (const subject of [
    'a',
    'b',
    'c',
    'a.b',
    'a.c',
    'b.b',
    'a.a.b',
    'a.b.c',
    'b.a.a',
    'a.a.a.a',
  ]) {
    const expected = [...new Set(deep.filter((it) => overlaps(it, subject)))]
    expect(tree.match(subject).sort()).toEqual(expected.sort())
  }
  for (const subject of deep) tree.delete(subject, subject)
  for (const subject of ['a', 'a.b', 'a.a.b']) expect(tree.match(subject)).toEqual([])
})

describe('where to go on in a stream', () => {
  const at = Date.parse('2026-01-01T00:00:10Z')
  const position = { created: 'once', sequence: 10, time: at, inMemory: false }
  const info = (state: Partial<StreamInfo['state']>, rest: object = {}): StreamInfo => ({
    created: 'once',
    config: {},
    state: { first_seq: 1, last_seq: 12, last_ts: '2026-01-01T00:00:12Z', ...state },
    ...rest,
  })

  test('at its end, to begin with', () => {
    const { position: end, missed } = place(undefined, info({}))
    expect([end.sequence, missed]).toEqual([12, undefined])
  })

  test('where it was, in the same stream', () => {
    expect(place(position, info({}))).toEqual({ position })
    expect(place(position, info({ last_seq: 10 }))).toEqual({ position })
  })

  test('at the end of one that was made anew, or went back to an older state', () => {
    const anew = place(position, info({}, { created: 'again' }))
    expect([anew.position.sequence, anew.missed]).toEqual([12, expect.stringContaining('anew')])
    const older = place(position, info({ last_seq: 3 }))
    expect([older.position.sequence, older.missed]).toEqual([3, expect.stringContaining('lost')])
  })

  test('at the end of one in memory whose first message is younger than what was read', () => {
    const config = { config: { storage: 'memory' } }
    const younger = place(position, info({ first_ts: '2026-01-01T00:00:11Z' }, config))
    expect([younger.position.sequence, younger.missed]).toEqual([
      12,
      expect.stringContaining('memory'),
    ])
    const same = place(position, info({ first_ts: '2026-01-01T00:00:01Z' }, config))
    expect(same).toEqual({ position })
  })
})

test.each([
  ['gone', { code: 10_059, status: 404, message: 'stream not found' }],
  ['gone', { code: '404', api_error: { code: 404, err_code: 10_059 }, message: 'x' }],
  ['disabled', { name: 'JetStreamNotEnabled', message: 'x' }],
  ['disabled', { code: '503', message: '503' }],
  ['lost', { code: 10_008, status: 503, message: 'JetStream system temporarily unavailable' }],
  ['lost', { name: 'TimeoutError', message: 'timeout' }],
  ['refused', { code: 10_026, status: 400, message: 'maximum consumers limit reached' }],
  ['denied', { message: 'x', cause: new Error('Permissions Violation for Publish to "x"') }],
])('an error means: %s', (kind, error) => {
  expect(reasonOf(Object.assign(new Error(error.message), error)).kind).toBe(kind)
})
