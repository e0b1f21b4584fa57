import { getEventListeners } from 'node:events'
import { inTime, pause } from 'unifrost/driver-kit'

const never = new Promise<never>(() => undefined)

test('100,000 waits share one listener of a signal, and leave none', async () => {
  const closing = new AbortController()
  const listeners = () => getEventListeners(closing.signal, 'abort').length
  const settle: (() => void)[] = []
  const waits = Array.from({ length: 100_000 }, () => {
    const work = new Promise<void>((resolve) => settle.push(resolve))
    return inTime(work, Infinity, undefined, closing.signal)
  })
  expect(listeners()).toBe(1)
  for (const one of settle) one()
  await Promise.all(waits)
  expect(listeners()).toBe(0)
})

test('each wait on a signal ends when it is aborted, also one that comes after', async () => {
  const closing = new AbortController()
  const waits = [1, 2].map(() => inTime(never, Infinity, undefined, closing.signal))
  const paused = pause(60_000, closing.signal)
  closing.abort(new Error('closed'))
  for (const wait of [...waits, inTime(never, Infinity, undefined, closing.signal)])
    await expect(wait).rejects.toThrow('closed')
  await paused
  await pause(60_000, closing.signal)
  expect(getEventListeners(closing.signal, 'abort')).toEqual([])
})
