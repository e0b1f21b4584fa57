import fc from 'fast-check'
import { patterns } from 'unifrost/express'

const alice = { sub: 'alice', tenant: 7 }

describe('what a pattern grants', () => {
  test.each([
    ['orders.{sub}.*', 'orders.alice.1', true],
    ['orders.{sub}.*', 'orders.bob.1', false],
    ['orders.{sub}.*', 'orders.alice', false],
    ['orders.{sub}.*', 'orders.alice.1.2', false],
    ['tenants.{tenant}.news', 'tenants.7.news', true],
    ['tenants.{tenant}.news', 'tenants.8.news', false],
    ['tenants.{missing}.news', 'tenants.undefined.news', false],
    ['news', 'news', true],
    ['news', 'NEWS', false],
  ])('%s and %s: %s', (pattern, topic, allowed) => {
    expect(patterns({ [pattern]: true })(alice, topic)).toBe(allowed)
  })
})

describe('a star matches no wildcard, escape or look-alike', () => {
  test.each([
    ['a wildcard of one segment', '*'],
    ['a wildcard of the rest', '>'],
    ['a wildcard of MQTT and AMQP', '#'],
    ['a part of a wildcard', 'a*'],
    ['an escaped dot', '%2e'],
    ['a dot escaped twice', '%252e'],
    ['a full-width asterisk', '＊'],
    ['a full-width greater-than', '＞'],
    ['a one-dot leader', '\u2024'],
    ['nothing', ''],
    ['white space', 'a b'],
    ['a zero-width space', 'a\u200bb'],
    ['a control character', '\u0007'],
    ['a glob', '[a-z]'],
  ])('%s', (_what, segment) => {
    const authorize = patterns({ 'orders.{sub}.*': true })
    expect(authorize(alice, `orders.alice.${segment}`)).toBe(false)
  })

  test('a claim matches none of them either, whatever its value', () => {
    for (const sub of ['*', '>', 'a.b', '#', '', '%2e', '＊']) {
      expect(patterns({ 'orders.{sub}': true })({ sub }, `orders.${sub}`)).toBe(false)
    }
  })

  test('of all topics, a pattern grants those with its own segments only', () => {
    const authorize = patterns({ 'orders.{sub}.*': true })
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const topic = `orders.alice.${text}`
        if (authorize(alice, topic)) expect(text).toMatch(/^[^.*>#%\s]+$/)
        expect(authorize(alice, text)).toBe(false)
      }),
      { numRuns: 2_000 },
    )
  })
})

test('a wildcard subject needs a grant of its own', () => {
  const authorize = patterns({ 'orders.{sub}.*': 'wildcards' })
  expect(authorize(alice, 'orders.alice.*')).toBe(true)
  expect(authorize(alice, 'orders.alice.1')).toBe(false)
  expect(authorize(alice, 'orders.bob.*')).toBe(false)
  expect(authorize(alice, 'orders.alice.>')).toBe(false)
})

test.each([
  ['an empty segment', { 'a..b': true }],
  ['a stray brace', { 'a.{sub': true }],
  ['a claim that is a part of a segment', { 'a.x{sub}': true }],
  ['a grant that there is not', { a: 'yes' as never }],
])('%s is refused at set-up', (_what, grants) => {
  expect(() => patterns(grants as never)).toThrow('patterns')
})
