import { CallbackError, callbackError } from './errors.js'
import { isThenable, show } from './option-checks.js'

/**
 * Calls a function of the application's that answers at once, and checks what it gives. A promise
 * is refused, and its rejection is taken care of: it would end the process.
 *
 * @param takes What the function may give, in words for an error.
 * @throws CallbackError, or what the function throws that is meant for the client: an error of ours, or
 *   one of `http-errors` with `expose`.
 */
export function answerOf<T>(
  name: string,
  call: () => T,
  fits: (value: unknown) => boolean,
  takes: string,
): T {
  let value: T
  try {
    value = call()
  } catch (error) {
    throw callbackError(name, error)
  }
  if (isThenable(value)) {
    ignoreRejection(value)
    throw new CallbackError(name, new TypeError(`it gave a promise. It answers at once: ${takes}.`))
  }
  if (fits(value)) return value
  throw new CallbackError(name, new TypeError(`it gave ${show(value)}. It gives ${takes}.`))
}

/** Calls a function of the application's, such as its logger, and ignores what it throws or rejects with. */
export function safely(call: () => unknown): void {
  try {
    const result = call()
    if (isThenable(result)) ignoreRejection(result)
  } catch (error) {
    // The logger itself failed, so there is no place to report it.
    void error
  }
}

export function ignoreRejection(promise: PromiseLike<unknown>): void {
  promise.then(undefined, () => undefined)
}
