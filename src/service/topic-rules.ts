import { Keeping, messageOf } from '../delivery/keeping.js'
import { KeptBudget } from '../delivery/kept.js'
import type { Topic } from '../delivery/topic.js'
import type { Payload } from '../driver.js'
import type { TopicRule } from '../topic-options.js'
import { topicRulesFrom } from '../topic-options.js'
import type { Encoding } from '../wire/messages.js'
import { checkTopicName } from './names.js'

/** What the rules are made of. */
export interface TopicRulesParts {
  readonly topics: unknown
  readonly maxTopicLength: number
  readonly infoEvent: string
  readonly maxRetainedBytes: number
}

/** What the rules tell their Streamer. */
export interface TopicRulesHost {
  /** A function of the application's has failed for a message. */
  report(cause: unknown, message: string): void
  /** A topic has nothing any more for which it stayed open. */
  emptied(topic: Topic): void
}

/** Which topic keeps what: the option `topics`. */
export class TopicRules {
  private readonly rules: readonly TopicRule[]
  private readonly budget: KeptBudget
  /** One report for each rule: a function that fails once fails for most messages. */
  private readonly reported = new Set<TopicRule>()

  /** @throws OptionsError */
  constructor(
    { topics, maxTopicLength, infoEvent, maxRetainedBytes }: TopicRulesParts,
    private readonly encoding: Encoding,
    private readonly host: TopicRulesHost,
  ) {
    this.budget = new KeptBudget(maxRetainedBytes)
    this.rules = topicRulesFrom(topics, (name) => {
      try {
        checkTopicName(name, maxTopicLength, infoEvent)
        return undefined
      } catch (error) {
        return (error as Error).message.replace(/\.$/, '')
      }
    })
  }

  /** The rule for a topic, or undefined. */
  of(name: string): TopicRule | undefined {
    return this.rules.find(({ patterns }) => patterns.some((pattern) => pattern.matches(name)))
  }

  /** The longest time that a message of any topic is kept, where all others are kept for `maxAge`. */
  longest(maxAge: number): number {
    return this.rules.reduce((most, rule) => Math.max(most, rule.maxAge ?? 0), maxAge)
  }

  /** A message as the filter of its topic is given it; undefined where there is none. */
  filtered(name: string, payload: Payload): string | Uint8Array | undefined {
    return this.of(name)?.filter && messageOf(payload, this.encoding)
  }

  /** Gives a topic what it keeps, if a rule says so. */
  equip(topic: Topic): void {
    const rule = this.of(topic.name)
    if (rule === undefined) return
    topic.history.maxBytes = rule.maxBytes
    topic.history.maxAge = rule.maxAge
    topic.keeping = new Keeping(rule, topic.history, {
      budget: this.budget,
      encoding: this.encoding,
      failed: (rule, error) => this.failed(rule, error),
      emptied: () => this.host.emptied(topic),
    })
  }

  private failed(rule: TopicRule, error: unknown): void {
    if (this.reported.has(rule)) return
    this.reported.add(rule)
    const match = JSON.stringify(rule.match)
    this.host.report(
      error,
      `A function of topics failed, where match is ${match}. It is reported once.`,
    )
  }
}
