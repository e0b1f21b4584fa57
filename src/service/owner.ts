import { OptionsError } from '../errors.js'
import { show } from '../option-checks.js'

/** What a missing value becomes when it is made text by mistake. */
const MISTAKES = new Set(['', 'undefined', 'null', 'NaN', '[object Object]'])

/** Whether this is an owner's name. */
export function isOwner(value: unknown): value is string {
  return typeof value === 'string' && !MISTAKES.has(value)
}

/** The name that a value is: text that is nobody's by mistake is none, and a number is its text. */
export function nameFrom(value: unknown): string | undefined {
  const name =
    typeof value === 'bigint' || (typeof value === 'number' && Number.isFinite(value))
      ? String(value)
      : value
  return isOwner(name) ? name : undefined
}

/**
 * The claims of a principal: its own, or those of the token that it holds as `payload`, as
 * express-oauth2-jwt-bearer and `jwt.verify(…, { complete: true })` make it.
 */
export function claimsOf(principal: unknown): Readonly<Record<string, unknown>> {
  const own = Object(principal) as Record<string, unknown>
  const { payload, sub, id, exp } = own
  const isOwn = sub !== undefined || id !== undefined || exp !== undefined
  const isToken = typeof payload === 'object' && payload !== null && !Array.isArray(payload)
  return isToken && !isOwn ? (payload as Record<string, unknown>) : own
}

/**
 * The owner's name of a principal: the principal itself if it is a string or a number, else the
 * `sub` or `id` of its claims. Undefined if that is nobody's name.
 */
export function ownerNameOf(principal: unknown): string | undefined {
  if (typeof principal !== 'object' || principal === null) return nameFrom(principal)
  const { sub, id } = claimsOf(principal)
  return nameFrom(sub ?? id)
}

/** An owner that the application names, by the rule of {@link ownerNameOf}. @throws OptionsError */
export function ownerNamed(caller: string, value: unknown): string {
  const name = ownerNameOf(value)
  if (name !== undefined) return name
  throw new OptionsError(
    `${caller} takes the name of an owner, or a principal with sub or id; it got ${show(value)}.`,
  )
}

/** Who owns clients: the name, or the principal that it is taken from, by its `sub` or `id`. */
export type OwnerName = string | number | bigint | { sub: unknown } | { id: unknown }
