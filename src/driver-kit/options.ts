import type { OptionCheck } from '../option-checks.js'
import { callback, checkOptions, flag, text } from '../option-checks.js'

export type { OptionCheck }
export { callback, flag, text }

/** A duration in milliseconds that Node's timers take. */
export const duration: OptionCheck = [
  (value) => typeof value === 'number' && value > 0 && value <= 2 ** 31 - 1,
  'milliseconds, more than 0',
]

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
  checkOptions(driver, options, table)
}
