import { randomBytes, randomInt, randomUUID } from 'node:crypto'
import { memoryDriver, Streamer } from '../../src/index.js'
import { casesOr, held } from './figure.js'

const SAMPLES = casesOr(5_000)
/** How many lookups make one sample: the clock's own steps must not count. */
const LOOKUPS = 20
/** What share of the slowest samples is left out: those that something else held up. */
const LEFT_OUT = 0.1
/** What share of a leak's time a difference may have: making the guesses leaves some in the caches. */
const BAR = 0.05

jest.setTimeout(10 * 60_000)

/** How many letters of an attacker's guesses are right, of 36. */
const NEAR = 28
const FAR = 1

/** Many, since where in a table a guess is looked for depends on it, and tells nothing either. */
const ids = Array.from({ length: 1_000 }, () => randomUUID())

interface Guess {
  text: string
  /** What it is meant to be. */
  id: string
}

function guess(right: number): Guess {
  const id = ids[randomInt(ids.length)]!
  const bytes = Buffer.from(id.slice(0, right) + randomBytes(18).toString('hex').slice(right))
  // As from a request's address: a string that nobody has looked up before.
  return { id, text: bytes.toString('latin1') }
}

/** How long a lookup takes in nanoseconds, by how much of the guess is right. */
function measure(lookUp: (guess: Guess) => unknown): { near: number; far: number } {
  const near: number[] = []
  const far: number[] = []
  for (let i = 0; i < 2 * SAMPLES; i++) {
    const [right, times] = Math.random() < 0.5 ? [NEAR, near] : [FAR, far]
    const guesses = Array.from({ length: LOOKUPS }, () => guess(right))
    const start = process.hrtime.bigint()
    for (const it of guesses) lookUp(it)
    times.push(Number(process.hrtime.bigint() - start) / LOOKUPS)
  }
  return { near: usual(near), far: usual(far) }
}

/** The mean, without the first samples, for which nothing is compiled yet, and the slowest. */
function usual(times: number[]): number {
  const warm = times.slice(times.length / 10).sort((a, b) => a - b)
  const kept = warm.slice(0, warm.length * (1 - LEFT_OUT))
  return kept.reduce((sum, time) => sum + time, 0) / kept.length
}

test('how much of a guess is right can not be told from how long it takes', async () => {
  const streamer = new Streamer(memoryDriver())
  for (const id of ids) await streamer.newCustomClient(id)
  const ours = measure(({ text }) => streamer.getClient(text))
  await streamer.close()
  // What a leak looks like to the same measurement.
  const letterByLetter = measure(({ id, text }) => {
    for (let i = 0; i < id.length; i++) if (text.charCodeAt(i) !== id.charCodeAt(i)) return
  })
  const leak = letterByLetter.near - letterByLetter.far
  expect(leak).toBeGreaterThan(5)
  const difference = Math.abs(ours.near - ours.far)
  expect(difference).toBeLessThan(leak * BAR)
  held({
    promise: 'How long a refusal takes tells nothing about an id',
    how: `${SAMPLES.toLocaleString('en')} times ${LOOKUPS} guesses, with the first ${NEAR} letters right and with ${FAR}`,
    figure: `${ours.near.toFixed(1)} ns and ${ours.far.toFixed(1)} ns for a lookup; compared letter by letter it would be ${leak.toFixed(1)} ns more`,
  })
})
