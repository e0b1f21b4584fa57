/** A field of a request is not valid. Express answers 400. */
class FieldError extends Error {
  readonly status = 400
  readonly expose = true
  readonly code: string
  constructor(field: string, takes: string) {
    super(`${field} takes ${takes}.`)
    this.code = `invalid-${field.replace('_', '-')}`
  }
}

// Control characters, and marks that change the direction of text.
const UNPRINTABLE = /[\p{Cc}\u202a-\u202e\u2066-\u2069]/u

export const clientIdField = (body: unknown): string => text(body, 'client_id', 256)
export const nameField = (body: unknown): string => text(body, 'name', 24)
export const textField = (body: unknown): string => text(body, 'text', 280)

export function secondsField(body: unknown): number {
  const value = field(body, 'seconds') ?? 0
  if (typeof value === 'number' && value >= 0 && value <= 3_700) return value
  throw new FieldError('seconds', 'a number from 0 to 3700')
}

function text(body: unknown, name: string, max: number): string {
  const value = field(body, name)
  if (typeof value === 'string') {
    const trimmed = value.trim()
    if (trimmed.length >= 1 && trimmed.length <= max && !UNPRINTABLE.test(trimmed)) return trimmed
  }
  throw new FieldError(name, `text of 1 to ${max} printable characters`)
}

function field(body: unknown, name: string): unknown {
  return typeof body === 'object' && body !== null && Object.hasOwn(body, name)
    ? (body as Record<string, unknown>)[name]
    : undefined
}
