import fc from 'fast-check'
import type { Timer } from '../../src/clock.js'
import { systemClock, Timers } from '../../src/clock.js'
import { ManualClock } from '../support/manual-clock.js'
import { until } from '../support/until.js'

test('appointments run in order of time, as in a sorted list, on one timer of the clock', () => {
  const step = fc.oneof(
    { weight: 12, arbitrary: fc.record({ after: fc.nat(200) }) },
    { weight: 6, arbitrary: fc.record({ cancel: fc.nat(60) }) },
    { weight: 1, arbitrary: fc.record({ wait: fc.nat(60) }) },
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120, size: 'max' }), (steps) => {
      const clock = new ManualClock()
      const timers = new Timers(clock)
      const ran: number[] = []
      const made: Timer[] = []
      let waiting: { index: number; due: number }[] = []
      for (const one of steps) {
        if ('after' in one) {
          const index = made.length
          const due = clock.now() + one.after
          made.push(timers.after(one.after, () => ran.push(index)))
          waiting.push({ index, due })
        } else if ('cancel' in one) {
          timers.cancel(made[one.cancel])
          waiting = waiting.filter(({ index }) => index !== one.cancel)
        } else {
          const before = ran.length
          clock.advance(one.wait)
          const due = waiting.filter((other) => other.due <= clock.now())
          waiting = waiting.filter((other) => other.due > clock.now())
          const got = ran.slice(before)
          expect(got.toSorted()).toEqual(due.map(({ index }) => index).toSorted())
          const times = got.map((index) => made[index]!.due)
          expect(times).toEqual(times.toSorted((a, b) => a - b))
        }
        // Not by expect, which takes longer than all the rest.
        if (timers.size !== waiting.length) throw new Error(`There are ${timers.size}.`)
        if (clock.pending > 1) throw new Error('There is more than one timer.')
        if (waiting.length > 0 && clock.pending === 0) throw new Error('There is no timer.')
      }
      timers.stop()
      expect([timers.size, clock.pending]).toEqual([0, 0])
    }),
    { numRuns: 500 },
  )
})

test('a timer that has run or was cancelled may be cancelled again', () => {
  const clock = new ManualClock()
  const timers = new Timers(clock)
  const ran = jest.fn()
  const one = timers.after(10, ran)
  const two = timers.after(20, ran)
  timers.cancel(two)
  timers.cancel(two)
  timers.cancel(undefined)
  clock.advance(30)
  timers.cancel(one)
  timers.after(5, ran)
  timers.cancel(one)
  clock.advance(5)
  expect(ran).toHaveBeenCalledTimes(2)
})

test('an appointment may cancel another that is due, make one, or stop all', () => {
  const clock = new ManualClock()
  const timers = new Timers(clock)
  const ran: string[] = []
  timers.after(10, () => {
    timers.cancel(second)
    timers.after(0, () => ran.push('made'))
  })
  const second = timers.after(10, () => ran.push('cancelled'))
  clock.advance(10)
  expect(ran).toEqual(['made'])
  timers.after(1, () => timers.stop())
  timers.after(1, () => ran.push('stopped'))
  clock.advance(10)
  expect(ran).toEqual(['made'])
  expect(clock.pending).toBe(0)
})

test('waits longer than a timer of Node can', () => {
  const clock = new ManualClock()
  const timers = new Timers(clock)
  const ran = jest.fn()
  timers.after(2 ** 32, ran)
  clock.advance(2 ** 32 - 1)
  expect(ran).not.toHaveBeenCalled()
  clock.advance(1)
  expect(ran).toHaveBeenCalled()
})

test('the system clock rises, and does not keep the process alive', async () => {
  const before = systemClock.now()
  const timer = systemClock.setTimeout(() => undefined, 1_000) as NodeJS.Timeout
  expect(timer.hasRef()).toBe(false)
  systemClock.clearTimeout(timer)
  await until('time', () => systemClock.now() > before)
})
