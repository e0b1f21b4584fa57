import { OptionsError } from '../errors.js'

/** Whether a value fits, and what the option takes, in words for an error. */
export type OptionCheck = readonly [fits: (value: unknown) => boolean, takes: string]

/** A duration in milliseconds that Node's timers take. */
export const duration: OptionCheck = [
  (value) => typeof value === 'number' && value > 0 && value <= 2 ** 31 - 1,
  'milliseconds, more than 0',
]

/** A function. `takes` says from what to what, such as `a function from a topic to a subject`. */
export function callback(takes: string): OptionCheck {
  return [(value) => typeof value === 'function', takes]
}

/** The option `encoding`, see `Driver.encoding`. */
export const encoding: OptionCheck = [
  (value) => value === 'utf8' || value === 'base64',
  "'utf8' or 'base64'",
]

/** A non-empty list of non-empty strings. */
export const names: OptionCheck = [
  (value) =>
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((name) => typeof name === 'string' && name !== ''),
  'a list of names, at least one',
]

/** A string that is not empty. */
export const text: OptionCheck = [
  (value) => typeof value === 'string' && value !== '',
  'a string that is not empty',
]

/** True or false. */
export const flag: OptionCheck = [(value) => typeof value === 'boolean', 'true or false']

/** The checks that options are made of; see {@link checkDriverOptions}. */
export const checks = { callback, duration, encoding, flag, names, text }

/**
 * Checks a driver's options against a table with one check for each.
 *
 * @param driver The name of the function that was called, for errors.
 * @throws OptionsError for an option that is unknown or does not fit. Undefined always fits.
 */
export function checkDriverOptions<Options extends object>(
  driver: string,
  options: Options,
  table: Record<keyof Options, OptionCheck>,
): void {
  for (const [name, value] of Object.entries(options)) {
    const option = Object.hasOwn(table, name) ? table[name as keyof Options] : undefined
    if (!option) {
      const known = Object.keys(table).join(', ')
      throw new OptionsError(`${driver} has no option ${name}. It has ${known}.`)
    }
    const [fits, takes] = option
    if (value === undefined || fits(value)) continue
    const got = typeof value === 'object' && value !== null ? 'an object' : String(value)
    throw new OptionsError(`${driver}: ${name} is ${got}. It takes ${takes}.`)
  }
}
