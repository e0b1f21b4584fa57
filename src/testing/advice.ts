import { inspect } from 'node:util'
import { check } from './until.js'

const VERBS =
  'add|allow|ask|change|check|choose|close|configure|connect|convert|copy|correct|create|declare|' +
  'define|delete|drop|enable|ensure|export|fix|free|give|grant|hand|increase|install|leave|look|' +
  'lower|make|name|open|pass|pick|provide|put|raise|read|remove|rename|replace|restart|run|see|' +
  'set|shorten|start|stop|switch|take|try|turn|update|upgrade|use|verify|wait|write'

/** An imperative where a clause begins, or what somebody needs, has to do or must do. */
const ADVICE = new RegExp(
  `(?:^|[.:;,(!?]\\s+|\\b(?:or|and|then)\\s+)(?:${VERBS})\\b|\\b(?:needs?|must|ha(?:s|ve) to)\\b`,
  'i',
)

/** Throws unless the error says what to do about it. */
export function checkAdvice({ message }: Error, advice = ADVICE): void {
  check(
    advice.test(message),
    'Expected the error to say what to do, such as "Start it, or correct the address.": ' +
      `${message}`,
  )
}

/** Throws unless the error names an address, a topic or whatever else it is about. */
export function checkNames({ message }: Error, what: string): void {
  check(message.includes(what), `Expected the error to name ${what}: ${message}`)
}

/** Throws where a log of the error, with all of its causes, would show a secret. */
export function checkHides(error: Error, secret: string): void {
  const shown = inspect(error, { depth: 10, showHidden: true })
  if (!shown.includes(secret)) return
  const where = error.message.includes(secret) ? 'its message' : 'its cause or another property'
  throw new Error(`Expected the error to hide the secret, but ${where} shows it.`)
}
