import type { Row } from '../../trials/kit/row.js'
import { mergeRows } from '../../trials/kit/rows-text.js'

const row = (promise: string, figure: string, how = 'a hundred times'): Row => ({
  promise,
  how,
  figure,
  problems: [],
})

const first = mergeRows(
  '',
  [row('It holds', '1 < 2'), row('It stays', '3')],
  'npm run test:load',
  true,
)

test('a row says in short lines what was promised, tried and found, and by what', () => {
  expect(first).toBe(
    [
      '- **It holds**',
      '  - Tried: a hundred times',
      '  - Found: 1 &lt; 2',
      '  - By `npm run test:load`',
      '',
      '- **It stays**',
      '  - Tried: a hundred times',
      '  - Found: 3',
      '  - By `npm run test:load`',
      '',
    ].join('\n'),
  )
})

test('long texts are wrapped, and come back as they were', () => {
  // A dash at the beginning of a line would make a list of the rest.
  const long = Array.from({ length: 60 }, (_, i) => (i % 3 === 0 ? '-' : `word${i}`)).join(' ')
  const text = mergeRows('', [row('It holds', long, long)], 'npm run test:load', true)
  const lines = text.split('\n')
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(103)
  expect(lines.filter((line) => /^ *- /.test(line))).toHaveLength(4)
  // Another suite's rows leave it where it is.
  const both = mergeRows(text, [row('It is safe', '5')], 'npm run test:security', true)
  expect(both.startsWith(text)).toBe(true)
})

test('a row takes the place of the one with its promise, and a whole suite that of its rows', () => {
  const part = mergeRows(first, [row('It stays', '4')], 'npm run test:load -- --only stay', false)
  expect(part).toContain('It holds')
  expect(part).not.toContain('Found: 3')
  expect(part).toContain('  - By `npm run test:load -- --only stay`')
  const whole = mergeRows(part, [row('It stays', '5')], 'npm run test:load', true)
  expect(whole).not.toContain('It holds')
  expect(whole.match(/It stays/g)).toHaveLength(1)
})

test('the suites stand in their order, whichever ran last', () => {
  const text = mergeRows(first, [row('It breaks', '6')], 'npm run test:faults', true)
  expect(text.indexOf('It breaks')).toBeLessThan(text.indexOf('It holds'))
})
