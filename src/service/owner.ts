import { OptionsError } from '../errors.js'
import { show } from '../option-checks.js'

/** What a missing value becomes when it is made text by mistake. */
const MISTAKES = new Set(['', 'undefined', 'null', 'NaN', '[object Object]'])

/** Whether this is an owner's name. */
export function isOwner(value: unknown): value is string {
  return typeof value === 'string' && !MISTAKES.has(value)
}

/**
 * The owner's name of a principal: the principal itself if it is a string or a number, else its
 * `sub` or `id`. Undefined if that is nobody's name.
 */
export function ownerNameOf(principal: unknown): string | undefined {
  const { sub, id } = Object(principal) as { sub?: unknown; id?: unknown }
  const isObject = typeof principal === 'object' && principal !== null
  const value = isObject ? (sub ?? id) : principal
  const name =
    typeof value === 'bigint' || (typeof value === 'number' && Number.isFinite(value))
      ? String(value)
      : value
  return isOwner(name) ? name : undefined
}

/** An owner that the application names, by the rule of {@link ownerNameOf}. @throws OptionsError */
export function ownerNamed(caller: string, value: unknown): string {
  const name = ownerNameOf(value)
  if (name !== undefined) return name
  throw new OptionsError(
    `${caller} takes the name of an owner, or a principal with sub or id; it got ${show(value)}.`,
  )
}
