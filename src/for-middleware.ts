/** What `middleware/` needs beyond the public API. The package does not export it. */
export type { Door } from './http/door.js'
export { doorOf, hasDoor } from './http/door.js'
export { callbackError, isExposed } from './errors.js'
export { answerOf, ignoreRejection } from './callbacks.js'
export type { OptionCheck, OptionTable } from './option-checks.js'
export {
  callback,
  checkOptions,
  count,
  flag,
  given,
  isThenable,
  number,
  refuse,
  shape,
  show,
} from './option-checks.js'
export type { CrossSiteOptions } from './http/cross-site.js'
export { checkSite, originsCheck } from './http/cross-site.js'
export { claimsOf, isOwner, nameFrom, ownerNameOf } from './service/owner.js'
export { areLabels, LABELS } from './service/selector.js'
export { publicError, sendError } from './http/error-response.js'
export { checkHead } from './http/head.js'
export type { MethodOptions } from './http/request.js'
export { afterOf, checkRequest, lastEventIdOf, METHODS_CHECK, queryOf } from './http/request.js'
export { takeSeat } from './http/seats.js'
export { WebOutlet } from './http/web-outlet.js'
export type { AdmitOptions } from './http/stream.js'
export {
  admit,
  arrivalOf,
  checkPair,
  EXPIRES,
  isExpiry,
  isIssueTime,
  openStream,
  serve,
} from './http/stream.js'
export { STREAM_HEADERS } from './http/stream-headers.js'
export { passingRefusal, sendPassingRefusal } from './http/passing-refusal.js'
export { isPlainSegment } from './topic-patterns.js'
export type { Allowance, AllowedSince } from './allowance.js'
export { allowedSince, bothAllow } from './allowance.js'
export type { Plan, Snapshots } from './service/rechecks.js'
export type { Visit } from './service/rights.js'
