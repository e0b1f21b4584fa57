import { CallbackError } from '../src/index.js'
import { callbackError } from '../src/for-middleware.js'

/**
 * Calls a function of the application's, and checks what it gives.
 *
 * @param name The option's name, for the error.
 * @param takes What it may give, for the error.
 * @throws CallbackError, or what the function throws that is meant for the client: an error of ours, or
 *   one of `http-errors` with `expose`.
 */
export async function called<T>(
  name: string,
  call: () => unknown,
  isRight: (value: unknown) => value is T,
  takes: string,
): Promise<T> {
  let value
  try {
    value = await call()
  } catch (error) {
    throw callbackError(name, error)
  }
  if (isRight(value)) return value
  throw new CallbackError(name, new TypeError(`it takes ${takes}; it got ${described(value)}.`))
}

export function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

export function areNames(value: unknown): value is string[] {
  return Array.isArray(value) && value.every(isName)
}

function described(value: unknown): string {
  if (value === '') return 'an empty string'
  if (value === null) return 'null'
  if (Array.isArray(value)) {
    return `an array with ${described((value as unknown[]).find((one) => !isName(one)))}`
  }
  return typeof value === 'object' ? 'an object' : typeof value
}
