import fc from 'fast-check'
import { encodeEvent } from '../../src/wire/encode.js'
import type { Frame } from '../../src/wire/frame.js'
import { FRAME_OVERHEAD } from '../../src/wire/frame.js'
import type { HistoryBounds } from '../../src/delivery/history.js'
import { History, TopicHistory } from '../../src/delivery/history.js'

const roomy: HistoryBounds = { maxBytes: 1e9, maxBytesPerTopic: 1e9, maxAge: 1e9 }

function historyOf(bounds: Partial<HistoryBounds>) {
  const let_go: number[] = []
  const history = new History({ ...roomy, ...bounds }, (frame) => let_go.push(frame.number))
  const add = (log: TopicHistory, size = 0, now = 0): Frame => {
    const frame = history.append(log, now, () => encodeEvent({ data: 'x'.repeat(size) }))
    history.enforce(log)
    return frame
  }
  return { history, add, letGo: let_go }
}

function numbers(log: TopicHistory): number[] {
  return Array.from({ length: log.length }, (_, i) => log.at(i)!.number)
}

test('frames are numbered over all topics', () => {
  const { history, add } = historyOf({})
  const [a, b] = [new TopicHistory(0), new TopicHistory(0)]
  for (const log of [a, b, b, a]) add(log)
  expect([numbers(a), numbers(b)]).toEqual([
    [1, 4],
    [2, 3],
  ])
  expect(history).toMatchObject({ last: 4, frames: 4, evictions: 0 })
})

test('over its bound, the oldest frames of all topics are dropped', () => {
  const cost = FRAME_OVERHEAD + 120
  const { history, add, letGo } = historyOf({ maxBytes: 3 * cost })
  const [a, b] = [new TopicHistory(0), new TopicHistory(0)]
  for (const log of [a, b, b, a]) add(log, 100)
  expect(letGo).toEqual([1])
  expect([a.evictedThrough, b.evictedThrough]).toEqual([1, 0])
  expect(history.bytes).toBeLessThanOrEqual(3 * cost)
})

test('a busy topic loses its own frames, out of the middle, and their bytes are free at once', () => {
  const cost = FRAME_OVERHEAD + 120
  const { history, add } = historyOf({ maxBytesPerTopic: 2 * cost })
  const [quiet, loud] = [new TopicHistory(0), new TopicHistory(0)]
  add(quiet, 100)
  for (let i = 0; i < 100; i++) add(loud, 100)
  expect(numbers(quiet)).toEqual([1])
  expect(numbers(loud)).toEqual([100, 101])
  expect(loud.evictedThrough).toBe(99)
  expect(history.bytes).toBe(quiet.bytes + loud.bytes)
  expect(history.bytes).toBeLessThanOrEqual(3 * cost)
  expect(history.frames).toBe(3)
})

test('a frame larger than the bound is dropped at once, and counts as an eviction', () => {
  const { history, add } = historyOf({ maxBytes: 1_000 })
  const log = new TopicHistory(0)
  add(log, 5_000)
  expect(log).toMatchObject({ length: 0, bytes: 0, evictedThrough: 1 })
  expect(history).toMatchObject({ frames: 0, bytes: 0, evictions: 1 })
})

test('frames are dropped when they are too old, and it returns when to look again', () => {
  const { history, add } = historyOf({ maxAge: 100 })
  const log = new TopicHistory(0)
  add(log, 0, 0)
  add(log, 0, 30)
  expect(history.expire(99)).toBe(100)
  expect(numbers(log)).toEqual([1, 2])
  expect(history.expire(100)).toBe(130)
  expect(numbers(log)).toEqual([2])
  expect(history.expire(130)).toBeUndefined()
  expect(history).toMatchObject({ frames: 0, bytes: 0, evictions: 2 })
})

test('a topic that is dropped leaves nothing, and is no eviction', () => {
  const { history, add } = historyOf({})
  const [a, b] = [new TopicHistory(0), new TopicHistory(0)]
  for (const log of [a, b, a]) add(log)
  history.drop(a)
  expect(history).toMatchObject({ frames: 1, bytes: b.bytes, evictions: 0 })
  expect(a.evictedThrough).toBe(3)
})

test('finds the first frame after a number', () => {
  const { add } = historyOf({})
  const [a, b] = [new TopicHistory(0), new TopicHistory(0)]
  for (const log of [a, b, a, b, b, a]) add(log)
  expect([0, 1, 2, 3, 5, 6, 99].map((number) => a.indexAfter(number))).toEqual([
    0, 1, 1, 2, 2, 3, 3,
  ])
})

test('keeps what a plain list of all frames would keep', () => {
  const step = fc.record({
    topic: fc.nat(3),
    size: fc.constantFrom(0, 50, 700, 3_000),
    later: fc.constantFrom(0, 1, 40),
    drop: fc.constantFrom(false, false, false, false, true),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const bounds = { maxBytes: 9_000, maxBytesPerTopic: 4_000, maxAge: 200 }
      const { history, add } = historyOf(bounds)
      const logs = [0, 1, 2, 3].map(() => new TopicHistory(0))
      let kept: { log: TopicHistory; frame: Frame }[] = []
      const bytes = (of: typeof kept) => of.reduce((sum, { frame }) => sum + frame.cost, 0)
      let now = 0
      for (const { topic, size, later, drop } of steps) {
        const log = logs[topic]!
        now += later
        history.expire(now)
        kept = kept.filter(({ frame }) => frame.time + bounds.maxAge > now)
        if (drop) {
          history.drop(log)
          kept = kept.filter((one) => one.log !== log)
        } else {
          kept.push({ log, frame: add(log, size, now) })
          const own = () => kept.filter((one) => one.log === log)
          while (bytes(own()) > bounds.maxBytesPerTopic) kept.splice(kept.indexOf(own()[0]!), 1)
          while (bytes(kept) > bounds.maxBytes) kept.shift()
        }
        for (const one of logs) {
          const right = kept.filter(({ log }) => log === one).map(({ frame }) => frame.number)
          expect(numbers(one)).toEqual(right)
        }
        expect(history).toMatchObject({ frames: kept.length, bytes: bytes(kept) })
      }
    }),
    { numRuns: 200 },
  )
})

test('dropping a frame takes equally long, however many there are', () => {
  const timeOf = (count: number) => {
    const { history, add } = historyOf({})
    const [quiet, loud] = [new TopicHistory(0), new TopicHistory(0)]
    add(quiet)
    for (let i = 0; i < count; i++) add(loud)
    const start = performance.now()
    for (let i = 0; i < 500; i++) {
      add(loud)
      history.drop(new TopicHistory(0))
      history['evict'](loud.at(0)!)
    }
    return performance.now() - start
  }
  timeOf(100)
  const few = Math.min(...[1, 2, 3, 4, 5].map(() => timeOf(100)))
  const many = Math.min(...[1, 2, 3, 4, 5].map(() => timeOf(20_000)))
  // A walk through 20,000 frames would take hundreds of times as long.
  expect(many).toBeLessThan(few * 20 + 25)
})
