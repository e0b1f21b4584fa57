import { OptionsError } from '../src/index.js'

/**
 * What a pattern grants: `true` for the topics that it matches, or `'wildcards'` for the one
 * wildcard subject that its own text is, and nothing else.
 */
export type Grant = true | 'wildcards'

/** Characters that some broker takes for a wildcard, or some proxy for an escape. */
const SPECIAL = /[*>#%?{}[\]\\\s\p{C}]/u

/**
 * An `authorize` from patterns given as data:
 *
 * ```ts
 * subscriptions(streamer, { authorize: patterns({ 'orders.{sub}.*': true, news: true }) })
 * ```
 *
 * A pattern's segments stand between dots. `*` takes the place of exactly one segment, `{claim}`
 * that of the principal's value of this name; all else is taken to the letter. What stands in
 * the place of `*` or of a claim must be plain: no wildcard of any broker, no escape, no look-alike
 * that Unicode's compatibility normalization would turn into one. A wildcard subject is a topic
 * like any other, and needs a grant of its own: `{ 'orders.{sub}.*': 'wildcards' }`.
 *
 * @throws OptionsError for a pattern that can't be meant.
 */
export function patterns(
  grants: Record<string, Grant>,
): (principal: unknown, topic: string) => boolean {
  const rules = Object.entries(grants).map(([pattern, grant]) => compile(pattern, grant))
  return (principal, topic) => {
    const segments = topic.split('.')
    return rules.some((rule) => rule(principal, segments))
  }
}

type Rule = (principal: unknown, segments: string[]) => boolean

function compile(pattern: string, grant: Grant): Rule {
  if (grant !== true && grant !== 'wildcards') {
    throw new OptionsError(
      `patterns: ${pattern} grants ${String(grant)}. It takes true or 'wildcards'.`,
    )
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
    return (principal, got) => got === claimOf(principal, claim) && isPlain(got)
  }
  if (segment === '' || /[{}]/.test(segment)) {
    throw new OptionsError(
      `patterns: ${JSON.stringify(pattern)} has a segment that is empty or has a stray brace. ` +
        'A claim stands alone between dots: orders.{sub}.open.',
    )
  }
  if (segment === '*' && grant === true) return (_principal, got) => isPlain(got)
  return (_principal, got) => got === segment
}

function claimOf(principal: unknown, claim: string): string | undefined {
  if (typeof principal === 'string') return claim === 'sub' ? principal : undefined
  if (typeof principal !== 'object' || principal === null || !Object.hasOwn(principal, claim)) {
    return undefined
  }
  const value = (principal as Record<string, unknown>)[claim]
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined
}

function isPlain(segment: string): boolean {
  return segment !== '' && !SPECIAL.test(segment) && segment.normalize('NFKC') === segment
}
