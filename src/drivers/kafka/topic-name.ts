import { TopicNameError } from '../../errors.js'

const LONGEST = 249

/** @throws TopicNameError for a Kafka topic that Kafka can't have, with its rule. */
export function checkTopicName(kafkaTopic: unknown, topic?: string): asserts kafkaTopic is string {
  const rule = brokenRule(kafkaTopic)
  if (rule === undefined) return
  const shown = JSON.stringify(kafkaTopic)?.slice(0, 100)
  const what =
    topic === undefined || topic === kafkaTopic
      ? shown
      : `${JSON.stringify(topic).slice(0, 100)}, read from ${shown},`
  throw new TopicNameError(`Topic ${what} can't be read from Kafka: ${rule}.`)
}

function brokenRule(name: unknown): string | undefined {
  if (typeof name !== 'string') return 'the name of a Kafka topic is a string'
  if (name === '') return 'the name of a Kafka topic is not empty'
  if (name === '.' || name === '..') return 'the name of a Kafka topic is not . or ..'
  if (name.length > LONGEST) return `the name of a Kafka topic has at most ${LONGEST} characters`
  if (!/^[\w.-]+$/.test(name)) {
    return 'the name of a Kafka topic is made of the letters a to z and A to Z, digits, ., _ and -'
  }
  return undefined
}
