import { patiently } from '../../../src/driver-kit/patiently.js'
import { until } from '../../support/until.js'

const never = new Promise<never>(() => undefined)

function beBusy(milliseconds: number): void {
  const end = performance.now() + milliseconds
  while (performance.now() < end);
}

test('gives the answer, or that there will be none', async () => {
  expect(await patiently(Promise.resolve('here'), 1_000)).toBe('here')
  expect(await patiently(Promise.reject(new Error('no')), 1_000)).toBe('failed')
})

test('gives up a peer that is silent', async () => {
  const start = performance.now()
  expect(await patiently(never, 80)).toBe('late')
  // Timers of Node may be a millisecond early.
  expect(performance.now() - start).toBeGreaterThan(75)
})

test('takes no time for silence in which this process did not listen', async () => {
  // As with a request that is written in the next turn, and answered a moment later.
  let give: (answer: string) => void = () => undefined
  const answer = new Promise<string>((resolve) => (give = resolve))
  setImmediate(() => setTimeout(give, 10, 'here'))
  const outcome = patiently(answer, 200)
  beBusy(400)
  expect(await outcome).toBe('here')
})

test('begins anew with everything that is heard', async () => {
  let heardAt = performance.now()
  let outcome: string | undefined
  const talking = setInterval(() => (heardAt = performance.now()), 20)
  try {
    void patiently(never, 400, () => heardAt).then((it) => (outcome = it))
    const start = performance.now()
    await until('more time than silence may last', () => performance.now() > start + 900)
    expect(outcome).toBeUndefined()
  } finally {
    clearInterval(talking)
  }
  await until('the silence to count', () => outcome === 'late')
  expect(performance.now() - heardAt).toBeGreaterThan(395)
})
