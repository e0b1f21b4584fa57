/** Characters that a broker may take for a wildcard, or a proxy for an escape. */
const SPECIAL = /[*>#%?{}[\]\\\s\p{C}]/u

/**
 * Whether a segment of a topic's name is one that `*` matches: no broker's wildcard, no escape, and
 * no character that Unicode's compatibility normalization turns into one.
 */
export function isPlainSegment(segment: string): boolean {
  return segment !== '' && !SPECIAL.test(segment) && segment.normalize('NFKC') === segment
}

/** A pattern for the names of topics: dots divide it, `*` matches any one plain segment. */
export class TopicPattern {
  private readonly segments: readonly string[]

  constructor(readonly text: string) {
    this.segments = text.split('.')
  }

  matches(name: string): boolean {
    const segments = name.split('.')
    return (
      segments.length === this.segments.length &&
      this.segments.every((own, i) =>
        own === '*' ? isPlainSegment(segments[i]!) : own === segments[i],
      )
    )
  }

  /** Whether it matches every name that another pattern matches. */
  covers(other: TopicPattern): boolean {
    return (
      other.segments.length === this.segments.length &&
      this.segments.every((own, i) => {
        const theirs = other.segments[i]!
        return own === theirs || (own === '*' && isPlainSegment(theirs))
      })
    )
  }

  /** A name that it matches, if anybody can name one. */
  get example(): string {
    return this.segments.map((segment) => (segment === '*' ? 'x' : segment)).join('.')
  }

  /** What keeps every name from matching, or undefined. */
  get fault(): string | undefined {
    if (this.segments.includes('')) return 'it has an empty segment'
    if (/[{}]/.test(this.text)) return 'a topic is kept for all users alike, so it has no claims'
    return undefined
  }
}
