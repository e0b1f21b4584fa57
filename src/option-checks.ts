import { OptionsError } from './errors.js'

/** What an option takes, and how that is found out. */
export type OptionCheck = readonly [
  fits: (value: unknown) => boolean,
  /** What the option takes, in words for an error. */
  takes: string,
  more?: {
    /** The options inside this one. */
    readonly table?: OptionTable
    /**
     * Whether an option that is written down must have a value. It is for options that protect:
     * one that is undefined by mistake, such as a missing environment variable, would protect
     * nothing. Default: undefined means the default.
     */
    readonly given?: boolean
    /** Whether errors must not show the value: a secret. */
    readonly hidden?: boolean
  },
]

/** One check for each option. */
export type OptionTable = Readonly<Record<string, OptionCheck>>

/**
 * Checks options against a table. Every factory calls it, so all say the same of the same mistake.
 *
 * @param caller The name of the function that was called, for errors.
 * @throws OptionsError for an option that is unknown or does not fit.
 */
export function checkOptions(caller: string, options: unknown, table: OptionTable): void {
  checkInside(caller, '', options, table)
}

function checkInside(caller: string, path: string, options: unknown, table: OptionTable): void {
  if (!isRecord(options)) refuse(caller, path === '' ? 'options' : path, options, 'an object')
  const prefix = path === '' ? '' : `${path}.`
  for (const [key, value] of Object.entries(options)) {
    const check = Object.hasOwn(table, key) ? table[key] : undefined
    if (check === undefined) throw unknownOption(caller, prefix + key, prefix, key, table)
    const [fits, takes, { table: inner, given = false, hidden = false } = {}] = check
    if (value === undefined && !given) continue
    if (inner !== undefined) checkInside(caller, prefix + key, value, inner)
    else if (!fits(value)) {
      // Of text that is secret not even the length is shown.
      const isShown = !hidden || typeof value !== 'string'
      refuse(caller, prefix + key, isShown ? value : HIDDEN, takes)
    }
  }
}

function unknownOption(
  caller: string,
  name: string,
  prefix: string,
  key: string,
  table: OptionTable,
): OptionsError {
  const known = Object.keys(table)
  const near = nearest(key, known)
  const hint = near === undefined ? '' : ` Did you mean ${prefix}${near}?`
  const all = known.length === 0 ? 'It has none.' : `It has ${known.join(', ')}.`
  return new OptionsError(`${caller} has no option ${name}.${hint} ${all}`)
}

/** @throws OptionsError: what was given, and what is taken. */
export function refuse(caller: string, name: string, got: unknown, takes: string): never {
  throw new OptionsError(`${caller}: ${name} takes ${takes}; it got ${show(got)}.`)
}

/** Stands for a text that an error must not show. */
const HIDDEN = Symbol('text')

/** A value in a few words. Long text is cut off, since it may be a secret. */
export function show(value: unknown): string {
  if (typeof value === 'string') {
    return value.length > 40 ? `a text of ${value.length} characters` : JSON.stringify(value)
  }
  if (value === HIDDEN) return 'another text'
  if (typeof value === 'function') return 'a function'
  if (typeof value !== 'object' || value === null) return String(value)
  if (Array.isArray(value)) return 'an array'
  return isThenable(value) ? 'a promise' : 'an object'
}

/** Whether somebody could `await` this. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  const isObject = (typeof value === 'object' && value !== null) || typeof value === 'function'
  return isObject && typeof (value as { then?: unknown }).then === 'function'
}

/** An object of options: no list, no promise. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isThenable(value)
}

/** A number within bounds. */
export function number(min: number, max: number): OptionCheck {
  const fits = (value: unknown) => typeof value === 'number' && value >= min && value <= max
  return [fits, `a number from ${min} to ${max}`]
}

/** A whole number within bounds. Without an upper one it may be Infinity. */
export function count(min: number, max = Infinity): OptionCheck {
  const fits = (value: unknown) =>
    typeof value === 'number' &&
    value >= min &&
    value <= max &&
    (Number.isInteger(value) || value === Infinity)
  return [
    fits,
    max === Infinity
      ? `a whole number from ${min}, or Infinity`
      : `a whole number from ${min} to ${max}`,
  ]
}

/** One of these texts. */
export function oneOf(...values: string[]): OptionCheck {
  const takes = values.map((value) => JSON.stringify(value)).join(' or ')
  return [(value) => values.includes(value as string), takes]
}

/** An object of further options. */
export function shape(table: OptionTable): OptionCheck {
  return [isRecord, 'an object', { table }]
}

/** An object with these methods. */
export function methods(...names: string[]): OptionCheck {
  const fits = (value: unknown) =>
    isRecord(value) && names.every((name) => typeof value[name] === 'function')
  return [fits, `an object with the methods ${names.join(', ')}`]
}

/** A function. @param takes Says from what to what. */
export function callback(takes = 'a function'): OptionCheck {
  return [(value) => typeof value === 'function', takes]
}

/** True or false. */
export const flag: OptionCheck = [(value) => typeof value === 'boolean', 'true or false']

/** Text that is not empty. */
export const text: OptionCheck = [
  (value) => typeof value === 'string' && value !== '',
  'a string that is not empty',
]

/** An option that must have a value where it is written down: see {@link OptionCheck}. */
export function given([fits, takes, more]: OptionCheck): OptionCheck {
  return [fits, takes, { ...more, given: true }]
}

/** The name that was most likely meant, or undefined. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const meant = name.toLowerCase()
  const ranked = known
    .map((one) => ({ one, far: distance(meant, one.toLowerCase()) }))
    .sort((a, b) => a.far - b.far)
  const best = ranked[0]
  if (best !== undefined && best.far <= Math.max(1, Math.floor(meant.length / 3))) return best.one
  return known.find((one) => meant.length >= 3 && isPart(meant, one.toLowerCase()))
}

function isPart(a: string, b: string): boolean {
  return b.startsWith(a) || a.startsWith(b) || b.endsWith(a) || a.endsWith(b)
}

/** How many letters must be changed, added or left out (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1]
    for (let j = 0; j < b.length; j++) {
      const change = row[j]! + (letter === b[j] ? 0 : 1)
      next.push(Math.min(change, row[j + 1]! + 1, next[j]! + 1))
    }
    row = next
  }
  return row[b.length]!
}
