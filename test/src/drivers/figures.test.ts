import { perCore } from './figures.js'

/** Processor time of rounds, in microseconds. */
const PUBLISHING = [100_000, 120_000, 110_000, 300_000, 105_000]

test('what reading takes is what rounds with readers take more', () => {
  const times = [310_000, 320_000, 330_000, 315_000, 900_000]
  // 210,000 µs for 10,000 messages.
  expect(perCore(times, PUBLISHING, 10_000)).toBe(47_619)
})

test('a reading that takes less than publishing differs by has no figure', () => {
  expect(perCore([111_000, 119_000, 122_000, 125_000, 118_000], PUBLISHING, 10_000)).toBe(undefined)
  expect(perCore(PUBLISHING, [200_000, 210_000, 205_000], 10_000)).toBe(undefined)
  expect(perCore(PUBLISHING, PUBLISHING, 10_000)).toBe(undefined)
})

test('a reading none of whose rounds was whole has no figure', () => {
  expect(perCore([], PUBLISHING, 10_000)).toBe(undefined)
})
