import { OptionsError } from '../errors.js'

/**
 * The owner's name of a principal: the principal itself if it is text or a number, else its `sub`
 * or `id`. Undefined if that leads nowhere.
 */
export function ownerNameOf(principal: unknown): string | undefined {
  const { sub, id } = Object(principal) as { sub?: unknown; id?: unknown }
  for (const value of [principal, sub, id]) {
    const name = nameFrom(value)
    if (name !== undefined) return name
  }
  return undefined
}

/** Text that is not empty, or a finite number as text. */
export function nameFrom(value: unknown): string | undefined {
  if (typeof value === 'string' && value !== '') return value
  if (typeof value === 'bigint' || (typeof value === 'number' && Number.isFinite(value))) {
    return String(value)
  }
  return undefined
}

/** The owner that an argument names. @throws OptionsError if it names nobody. */
export function ownerFrom(method: string, who: unknown): string {
  const name = ownerNameOf(who)
  if (name !== undefined) return name
  throw new OptionsError(
    `${method} takes an owner: text, a number, or a principal with sub or id; it got ` +
      `${shown(who)}, which names nobody.`,
  )
}

function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'function') return 'a function'
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}
