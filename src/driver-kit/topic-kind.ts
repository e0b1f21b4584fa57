import type { TopicKind } from '../driver.js'

/** Which names of a broker's mean more than one topic. */
export interface SpecialNames {
  /** Whether a name stands for several topics. Default: none does. */
  wildcard?: (name: string) => boolean
  /** Whether a name is the broker's own, or this package's. Default: none is. */
  internal?: (name: string) => boolean
}

/**
 * Makes the `kindOf` of a driver. See `Driver.kindOf`.
 *
 * @param address Gives the broker's name of a topic, where it is not the topic's. For a topic that it
 *   has no name for, `subscribe` says what is wrong.
 */
export function kindOfTopic(
  { wildcard = () => false, internal = () => false }: SpecialNames,
  address: (topic: string) => unknown = (topic) => topic,
): (topic: string) => TopicKind {
  return (topic) => {
    let name: unknown
    try {
      name = address(topic)
    } catch {
      return 'plain'
    }
    if (typeof name !== 'string') return 'plain'
    if (internal(name)) return 'internal'
    return wildcard(name) ? 'wildcard' : 'plain'
  }
}

/** Whether one of the words between the dots of a name is one of these. */
export function hasWord(name: string, ...words: string[]): boolean {
  return name.split('.').some((word) => words.includes(word))
}
