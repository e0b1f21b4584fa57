import type { Config } from './config/schema.js'
import type { Claims, Pattern } from './pattern.js'
import { compilePattern } from './pattern.js'

type Rule = Config['topics'][number]

/** Whether a user may subscribe to a topic. Anonymous users have no claims. */
export type MaySubscribe = (claims: Claims | undefined, topic: string) => boolean

/** The first rule that matches a topic decides; where none does, nobody may have it. */
export function subscribeRules(rules: readonly Rule[]): MaySubscribe {
  const compiled = rules.map((rule) => ({ ...rule, pattern: compilePattern(rule.match) }))
  return (claims, topic) => {
    const segments = topic.split('.')
    const rule = compiled.find(({ pattern }) => pattern.matches(segments))
    if (rule === undefined) return false
    switch (rule.subscribe) {
      case 'anyone':
        return true
      case 'authenticated':
      case 'owner':
        return claims !== undefined && rule.pattern.isOf(segments, claims)
      case 'granted':
        return (
          claims !== undefined && rule.pattern.isOf(segments, claims) && isGranted(claims, segments)
        )
      case 'nobody':
        return false
    }
  }
}

/** Whether some rule matches a topic, whatever it says. */
export function isRuled(rules: readonly Rule[]): (topic: string) => boolean {
  return anyOf(rules.map(({ match }) => match.replace(/\{[^{}]+\}/g, '*')))
}

/** Whether a token lists the topic: its claim `topics`, of names and patterns with `*`. */
function isGranted({ topics }: Claims, segments: readonly string[]): boolean {
  if (!Array.isArray(topics)) return false
  return topics.some((grant) => {
    // A token's author may know other patterns than ours; what we can't read grants nothing.
    const pattern = typeof grant === 'string' ? readable(grant) : undefined
    return pattern !== undefined && pattern.claims.length === 0 && pattern.matches(segments)
  })
}

function readable(grant: string): Pattern | undefined {
  try {
    return compilePattern(grant)
  } catch {
    return undefined
  }
}

/** Whether one of these patterns stands for a topic. */
export function anyOf(patterns: readonly string[]): (topic: string) => boolean {
  const compiled = patterns.map(compilePattern)
  return (topic) => {
    const segments = topic.split('.')
    return compiled.some((pattern) => pattern.matches(segments))
  }
}
