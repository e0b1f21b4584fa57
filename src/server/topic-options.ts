import type { StreamerOptions } from '../index.js'
import type { Config } from './config/schema.js'

type Rule = Config['topics'][number]
type TopicOptions = NonNullable<StreamerOptions['topics']>[number]

/** A rule that says nothing of who may have its topics. */
type Kept = Omit<Rule, 'subscribe'>

/** A `*` alone is every topic; the library's patterns have as many segments as the topic. */
const MOST_SEGMENTS = 8

/** Whether a rule says anything of what its topics keep. */
export function keepsSomething({ retain, conflate, end, linger, maxBytes }: Kept): boolean {
  return [retain, conflate, end, linger, maxBytes].some((value) => value !== undefined)
}

/** What a rule says beside who may have its topics. */
export function keptBy({ match, retain, conflate, end, linger, maxBytes }: Rule): Kept {
  return { match, retain, conflate, end, linger, maxBytes }
}

/**
 * What the topics of a configuration keep, as the library takes it. The first rule that matches a topic
 * counts here, too, so a rule that keeps nothing stands before those that it hides.
 */
export function topicOptions(rules: readonly Rule[]): TopicOptions[] {
  const plain = rules.map((rule) => ({ kept: keptBy(rule), patterns: patternsOf(rule.match) }))
  const before: string[] = []
  return plain.flatMap(({ kept, patterns }, index) => {
    const isNeeded =
      keepsSomething(kept) ||
      plain
        .slice(index + 1)
        .some((later) => keepsSomething(later.kept) && meet(later.patterns, patterns))
    // What an earlier rule has taken whole, never comes to this one.
    const left = patterns.filter((pattern) => !before.some((other) => covers(other, pattern)))
    if (!isNeeded || left.length === 0) return []
    before.push(...left)
    return [optionsOf(kept, left)]
  })
}

function patternsOf(match: string): string[] {
  if (match !== '*') return [match.replace(/\{[^{}]+\}/g, '*')]
  return Array.from({ length: MOST_SEGMENTS }, (_, index) =>
    Array(index + 1)
      .fill('*')
      .join('.'),
  )
}

function covers(pattern: string, other: string): boolean {
  return compare(pattern, other, (own, theirs) => own === theirs || own === '*')
}

function meet(some: readonly string[], others: readonly string[]): boolean {
  const fits = (own: string, theirs: string) => own === theirs || own === '*' || theirs === '*'
  return some.some((one) => others.some((other) => compare(one, other, fits)))
}

function compare(one: string, other: string, fits: (a: string, b: string) => boolean): boolean {
  const [own, theirs] = [one.split('.'), other.split('.')]
  return (
    own.length === theirs.length && own.every((segment, index) => fits(segment, theirs[index]!))
  )
}

function optionsOf(
  { retain, conflate, end, linger, maxBytes }: Kept,
  match: string[],
): TopicOptions {
  return {
    match,
    ...(retain !== undefined && {
      retain: typeof retain === 'object' ? { by: fieldOf(retain.by) } : retain,
    }),
    ...(conflate !== undefined && { conflate: conflateOf(conflate) }),
    ...(end !== undefined && { end: (payload: string | Uint8Array) => textOf(payload) === end }),
    ...(linger !== undefined && { linger }),
    ...(maxBytes !== undefined && { maxBytes }),
  }
}

function conflateOf(
  conflate: NonNullable<Kept['conflate']>,
): NonNullable<TopicOptions['conflate']> {
  if (typeof conflate === 'boolean') return conflate
  if (typeof conflate === 'number') return { interval: conflate }
  const { by, ...rest } = conflate
  return { ...rest, ...(by !== undefined && { by: fieldOf(by) }) }
}

function textOf(payload: string | Uint8Array): string {
  return typeof payload === 'string' ? payload : Buffer.from(payload).toString()
}

/** Finds a field of a message's JSON. The library tells of a message that has none. */
function fieldOf(path: string): (payload: string | Uint8Array) => string {
  const names = path.split('.')
  return (payload) => {
    let value: unknown = JSON.parse(textOf(payload))
    for (const name of names) {
      const isThere = typeof value === 'object' && value !== null && Object.hasOwn(value, name)
      value = isThere ? (value as Record<string, unknown>)[name] : undefined
    }
    if (typeof value === 'string' || typeof value === 'number') return String(value)
    throw new Error(`The message has no text or number at ${path}.`)
  }
}
