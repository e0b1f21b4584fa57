/** Why a pattern can't be used. */
export class PatternError extends Error {
  override readonly name = 'PatternError'
}

/** What a token says of its user. */
export type Claims = Readonly<Record<string, unknown>>

/** A pattern of topics. */
export interface Pattern {
  /** The claims that it names. */
  readonly claims: readonly string[]
  /** Whether a topic is one of these, whoever asks. */
  matches(segments: readonly string[]): boolean
  /** Whether it is one of these, and its claims are this user's. */
  isOf(segments: readonly string[], claims: Claims | undefined): boolean
}

/** Characters that a broker may take for a wildcard, or a proxy for an escape. */
const SPECIAL = /[*>#%?{}[\]\\\s\p{C}]/u

/**
 * Reads a pattern: dots divide it into segments, `*` is any one segment, `{claim}` the value that the
 * token has for it. A `*` alone is every topic.
 *
 * @throws PatternError
 */
export function compilePattern(text: string): Pattern {
  if (text === '*') return { claims: [], matches: () => true, isOf: () => true }
  const segments = text.split('.').map((segment) => segmentOf(text, segment))
  const claims = segments.flatMap(({ claim }) => (claim === undefined ? [] : [claim]))
  const matches = (topic: readonly string[]) =>
    topic.length === segments.length && segments.every(({ fits }, index) => fits(topic[index]!))
  const isOf = (topic: readonly string[], user: Claims | undefined) =>
    matches(topic) &&
    segments.every(
      ({ claim }, index) => claim === undefined || valueOf(user, claim) === topic[index],
    )
  return { claims, matches, isOf }
}

function segmentOf(
  pattern: string,
  segment: string,
): { fits: (got: string) => boolean; claim?: string } {
  const claim = /^\{([^{}]+)\}$/.exec(segment)?.[1]
  if (claim !== undefined) return { fits: isPlain, claim }
  if (segment === '*') return { fits: isPlain }
  if (segment === '')
    throw new PatternError(
      `${JSON.stringify(pattern)} has an empty segment: a dot at an end, or two in a row.`,
    )
  if (/[*{}]/.test(segment)) {
    throw new PatternError(
      `In ${JSON.stringify(pattern)}, * and {claim} stand alone between dots: orders.{sub}.*`,
    )
  }
  return { fits: (got) => got === segment }
}

function valueOf(claims: Claims | undefined, name: string): string | undefined {
  if (claims === undefined || !Object.hasOwn(claims, name)) return undefined
  const value = claims[name]
  return typeof value === 'string' || Number.isFinite(value) ? String(value) : undefined
}

/** Whether a segment is nothing but itself, to a broker, a proxy, and after normalization. */
function isPlain(segment: string): boolean {
  return segment !== '' && !SPECIAL.test(segment) && segment.normalize('NFKC') === segment
}
