import { quote, UnifrostError } from '../errors.js'

/** No run has this name, or it belongs to somebody else. */
export class NoRunError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_NO_RUN'
  readonly status = 404
  constructor() {
    super('There is no run of this name: none was started, or it is not yours.')
  }
}

/** The run has ended, and the time for which it was kept is over. */
export class RunExpiredError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_RUN_EXPIRED'
  readonly status = 410
  constructor() {
    super('This run has ended, and it is no longer kept (keep). Read what was stored of it.')
  }
}

/** `start` with `onRunning: 'refuse'` found a run of this name that has not ended. */
export class RunRunningError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_RUN_RUNNING'
  readonly status = 409
  constructor() {
    super('A run of this name has not ended. Read that one, stop it, or take another name.')
  }
}

/** Something was to be done with a run that has ended. The message says how it ended. */
export class RunEndedError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_RUN_ENDED'
  readonly status = 409
  constructor(
    what: string,
    /** How it ended: `done`, `stopped`, `failed: <code>`, `paused`. */
    readonly how: string,
  ) {
    super(`The run has ended (${how}), so ${what}.`)
  }
}

/** One more run would exceed `maxRuns` or `maxRunsPerOwner`. */
export class TooManyRunsError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_TOO_MANY_RUNS'
  readonly status = 429
  constructor(option: string, limit: number) {
    super(`At most ${limit} runs may go on at once (${option}). Wait for one to end, or stop one.`)
  }
}

/** A name that no run can have. */
export class RunNameError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_RUN_NAME'
  readonly status = 400
  constructor(reason: string) {
    super(`This can't be the name of a run: ${reason}.`)
  }
}

/** A part that can't be sent. */
export class PartError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_PART'
  readonly status = 500
  override readonly expose = false
  constructor(reason: string) {
    super(`append: ${reason}`)
  }
}

/** The store of the runs can't be reached, or does not answer. */
export class RunStoreError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_RUN_STORE'
  readonly status = 503
  override readonly headers = { 'Retry-After': '5' }
  constructor(cause: unknown) {
    super("The store of the runs can't be reached. Try again in a few seconds.", { cause })
  }
}

const LONGEST_NAME = 256
// All characters below space, and DEL; space; what brokers take for wildcards.
const FORBIDDEN = /[\0-\x20\x7f*>#+?[\]]/

/** @throws RunNameError */
export function checkRunName(name: unknown): asserts name is string {
  if (typeof name !== 'string') {
    throw new RunNameError(`it takes a string, and got ${name === null ? 'null' : typeof name}`)
  }
  const reason = faultOfRunName(name)
  if (reason !== undefined) throw new RunNameError(reason)
}

/** What keeps a text from being a run's name, or undefined. */
export function faultOfRunName(name: string): string | undefined {
  if (name === '') return 'it is empty'
  if (Buffer.byteLength(name) > LONGEST_NAME) return `it has more than ${LONGEST_NAME} bytes`
  if (!name.isWellFormed()) return 'it has half of a surrogate pair'
  const match = FORBIDDEN.exec(name)
  if (match === null) return undefined
  return `it holds ${quote(match[0])} (no space, no control character, and none of * > # + ? [ ])`
}
