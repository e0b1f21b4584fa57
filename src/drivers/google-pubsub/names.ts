import { TopicNameError } from '../../errors.js'

const FULL_NAME = /^projects\/([^/]+)\/topics\/([^/]+)$/

/**
 * The broker's topic that a topic is read from, once it is sure that Pub/Sub can hold the name.
 *
 * @throws TopicNameError for one that it can't.
 */
export function toSource(topic: string, address: (topic: string) => string): string {
  const source: unknown = address(topic)
  const rule = brokenRule(source)
  if (!rule) return source as string
  const name = JSON.stringify(topic)?.slice(0, 100)
  const what =
    source === topic ? name : `${name}, read from ${JSON.stringify(source)?.slice(0, 100)},`
  throw new TopicNameError(`Topic ${what} can't be read from Google Pub/Sub: ${rule}.`)
}

/** The rule that a name breaks. Sent as it is, it could name something of another kind. */
export function brokenRule(source: unknown): string | undefined {
  if (typeof source !== 'string') return "a topic's name is a string"
  const [, project, id = source] = FULL_NAME.exec(source) ?? []
  if (project === undefined && source.includes('/')) {
    return "a name with slashes has the form 'projects/PROJECT/topics/TOPIC'"
  }
  if (id.length < 3 || id.length > 255) return "a topic's name has 3 to 255 characters"
  if (!/^[A-Za-z]/.test(id)) return "a topic's name starts with a letter"
  if (!/^[\w\-.~+%]*$/.test(id)) {
    return "a topic's name is made of letters, digits and - _ . ~ + %"
  }
  if (/^goog/i.test(id)) return "a topic's name does not start with 'goog', which is Google's"
  return undefined
}

/** A unique name for a subscription, which shows its topic to people. */
export function subscriptionName(prefix: string, source: string, random: string): string {
  const id = source.slice(source.lastIndexOf('/') + 1)
  return `${prefix}.${id.slice(0, 120)}.${random}`
}
