import type { Labels } from '../src/index.js'
import type { OptionTable } from '../src/for-middleware.js'
import { answerOf, areLabels, callback, given, LABELS } from '../src/for-middleware.js'
import type { PrincipalOptions, RequestContext } from './request-context.js'
import { principalOf } from './request-context.js'

/** Options of a middleware that makes clients. */
export interface LabelOptions<FrameworkRequest, Principal = unknown> {
  /**
   * What a new client is marked with, for instance `(user) => ({ tenant: user.tenant })`, so that
   * `streamer.subscribe({ tenant: 'acme' }, …)`, `revoke` and the like can mean all clients with a
   * label. It answers at once; undefined is for none. Default: none.
   */
  labels?: (principal: Principal, request: FrameworkRequest) => Labels | undefined
}

export const LABEL_OPTIONS = {
  labels: given(callback('a function from a user and a request to labels')),
} satisfies OptionTable

/** The labels of the request's new client. @throws CallbackError, AuthenticationError */
export function labelsOf<Context, Principal>(
  context: RequestContext<Context>,
  options: PrincipalOptions<Context, Principal> & LabelOptions<Context, Principal>,
): Labels | undefined {
  const { labels: find } = options
  if (find === undefined) return undefined
  const principal = principalOf(context, options) as Principal
  const fits = (value: unknown) => value === undefined || areLabels(value)
  return answerOf('labels', () => find(principal, context.frameworkRequest), fits, LABELS)
}
