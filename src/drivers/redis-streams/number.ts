/** So many numbers there are for each millisecond. */
const PER_MILLISECOND = 1024

/** Numbers are below this. */
const LIMIT = 2 ** 52

/**
 * The number of an entry in the driver's log: made of nothing but its id, so that it is the same on
 * every server, whoever has read or trimmed what was before.
 *
 * An id is `milliseconds-sequence`. Within 52 bits, 42 are for the milliseconds, which is enough until
 * the year 2109, and 10 for the sequence. One that is larger takes numbers of the milliseconds that
 * follow: entries of one script have one time, and a clock that was put back stands still. Where
 * entries with these times come all the same, their numbers do not rise, and the reader sees that.
 *
 * @returns undefined where it has none: it would not be below 2^52.
 */
export function numberOf(id: string): number | undefined {
  const [milliseconds, sequence] = id.split('-').map(Number)
  const number = milliseconds! * PER_MILLISECOND + (sequence ?? 0)
  return number < LIMIT ? number : undefined
}

/** An entry has an id that can't be numbered. */
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
