import { OptionsError } from '../src/index.js'
import { isPlainSegment, refuse, show } from '../src/for-middleware.js'

/**
 * What a pattern grants. `true`: the topics that it matches. `'wildcards'`: only the broker's
 * wildcard subject that is written like the pattern: for `orders.{sub}.*` and the principal
 * `{ sub: 'ann' }` only the subject `orders.ann.*`.
 */
export type Grant = true | 'wildcards'

/**
 * An `authorize` that is made of patterns:
 *
 * ```ts
 * subscriptions(streamer, { authorize: patterns({ 'orders.{sub}.*': true, news: true }) })
 * ```
 *
 * Dots divide a pattern into segments. `*` matches any one segment. `{claim}` matches the
 * principal's value of this name. Any other segment matches itself. A segment that `*` or a claim
 * matches must be plain: no broker's wildcard, no escape, and no character that Unicode's
 * compatibility normalization turns into one. An example: for the principal `{ sub: 'ann' }`,
 * `orders.{sub}.*` matches `orders.ann.open`, but not `orders.bob.open`, `orders.ann`, or the
 * wildcard subject `orders.ann.*`. A wildcard subject needs the grant `'wildcards'`.
 *
 * @throws OptionsError for a pattern with an empty segment or a stray brace, and for another grant.
 */
export function patterns(
  grants: Record<string, Grant>,
): (principal: unknown, topic: string) => boolean {
  if (Object.prototype.toString.call(grants) !== '[object Object]') {
    refuse('patterns', 'grants', grants, 'an object from patterns to what they grant')
  }
  const rules = Object.entries(grants).map(([pattern, grant]) => compile(pattern, grant))
  return (principal, topic) => {
    const segments = topic.split('.')
    return rules.some((rule) => rule(principal, segments))
  }
}

type Rule = (principal: unknown, segments: string[]) => boolean

function compile(pattern: string, grant: Grant): Rule {
  if (grant !== true && grant !== 'wildcards') {
    throw new OptionsError(`patterns: ${pattern} takes true or 'wildcards'; it got ${show(grant)}.`)
  }
  const matchers = pattern.split('.').map((segment) => matcherFor(pattern, segment, grant))
  return (principal, segments) =>
    segments.length === matchers.length &&
    segments.every((segment, index) => matchers[index]!(principal, segment))
}

function matcherFor(
  pattern: string,
  segment: string,
  grant: Grant,
): (principal: unknown, segment: string) => boolean {
  const claim = /^\{([^{}]+)\}$/.exec(segment)?.[1]
  if (claim !== undefined) {
    return (principal, got) => got === claimOf(principal, claim) && isPlainSegment(got)
  }
  if (segment === '' || /[{}]/.test(segment)) {
    throw new OptionsError(
      `patterns: ${JSON.stringify(pattern)} has a segment that is empty or has a stray brace. ` +
        'A claim stands alone between dots: orders.{sub}.open.',
    )
  }
  if (segment === '*' && grant === true) return (_principal, got) => isPlainSegment(got)
  return (_principal, got) => got === segment
}

function claimOf(principal: unknown, claim: string): string | undefined {
  if (typeof principal === 'string') return claim === 'sub' ? principal : undefined
  if (typeof principal !== 'object' || principal === null || !Object.hasOwn(principal, claim)) {
    return undefined
  }
  const value = (principal as Record<string, unknown>)[claim]
  return typeof value === 'string' || Number.isFinite(value) ? String(value) : undefined
}
