/** How many numbers each millisecond has. */
const PER_MILLISECOND = 2048

/** Numbers are below this. */
const LIMIT = 2 ** 52

/**
 * The number of an entry in the driver's log. It is made of the entry's id alone, so every server has
 * the same one.
 *
 * An id is `milliseconds-sequence`. Of the 52 bits of a number, 41 are for the milliseconds, which is
 * enough until the year 2039, and 11 for the sequence. For example, `5-3` is 5 × 2,048 + 3 = 10,243.
 *
 * A sequence of 2,048 or more takes the numbers of the next milliseconds: `5-2048` is 12,288, and so is
 * `6-0`. A transaction or a script gives all its entries one time, and Redis takes more than half a
 * microsecond for each of them, so its clock has passed those milliseconds by then: after 20,000
 * entries, which take the numbers of 9.8 ms, it is at least 10 ms later. Only ids made by hand, or a
 * clock that was put back, bring `6-0` all the same. Its number does not rise, and the reader notices.
 *
 * @returns undefined where the number would not be below 2^52.
 */
export function numberOf(id: string): number | undefined {
  const [milliseconds, sequence] = id.split('-').map(Number)
  const number = milliseconds! * PER_MILLISECOND + (sequence ?? 0)
  return number < LIMIT ? number : undefined
}

/** An entry's id is too large to have a number. */
export class EntryIdError extends Error {
  constructor(stream: string, id: string) {
    super(
      `Entry ${id} of stream ${JSON.stringify(stream)} has an id that begins with no time in ` +
        'milliseconds, and is too large for a log. Let Redis make the ids, with XADD *, or give ' +
        'log: false.',
    )
    this.name = 'EntryIdError'
  }
}

/** The highest id that may have a number up to this one. */
export function highestId(number: number): string {
  return `${Math.floor(number / PER_MILLISECOND)}-${number % PER_MILLISECOND}`
}

/** The lowest id, of those with the milliseconds of `id` or more, with a number above this one. */
export function lowestIdAfter(number: number, id: string): string {
  const milliseconds = Number(id.split('-')[0])
  return `${milliseconds}-${number - milliseconds * PER_MILLISECOND + 1}`
}

/** The id that follows. */
export function nextId(id: string): string {
  const [milliseconds = '0', sequence = '0'] = id.split('-')
  return `${milliseconds}-${BigInt(sequence) + 1n}`
}
