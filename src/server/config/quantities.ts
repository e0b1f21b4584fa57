/** Reads what a configuration file writes as one word: numbers, durations, sizes, yes and no. */

const DURATION: Record<string, number> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

const SIZE: Record<string, number> = {
  b: 1,
  kb: 1_000,
  mb: 1_000_000,
  gb: 1_000_000_000,
  kib: 1_024,
  mib: 1_048_576,
  gib: 1_073_741_824,
}

/** A number, or text of digits: a value out of the environment is always text. */
export function numberFrom(value: unknown): number | undefined {
  if (typeof value === 'number') return value
  const isDigits = typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value)
  return isDigits ? Number(value) : undefined
}

/** `true` and `false`, also as text, for the environment's sake. */
export function flagFrom(value: unknown): boolean | undefined {
  if (value === true || value === 'true') return true
  if (value === false || value === 'false') return false
  return undefined
}

/** Milliseconds. A number without a unit is nothing but 0, since nobody knows what it counts. */
export function durationFrom(value: unknown): number | undefined {
  if (value === 0 || value === '0') return 0
  return withUnit(value, DURATION)
}

/** Bytes. A number without a unit counts bytes. */
export function sizeFrom(value: unknown): number | undefined {
  const bytes = numberFrom(value) ?? withUnit(value, SIZE)
  return bytes === undefined ? undefined : Math.round(bytes)
}

function withUnit(value: unknown, units: Record<string, number>): number | undefined {
  if (typeof value !== 'string') return undefined
  const [, amount, unit] = /^(\d+(?:\.\d+)?) ?([a-z]+)$/i.exec(value) ?? []
  const factor = unit === undefined ? undefined : units[unit.toLowerCase()]
  return factor === undefined ? undefined : Number(amount) * factor
}
