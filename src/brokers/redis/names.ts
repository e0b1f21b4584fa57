import { TopicNameError } from '../../errors.js'

/**
 * Checks the name of a channel or a stream. Redis takes every name that has bytes.
 *
 * @throws TopicNameError for one that is empty, or with half a character, which has no bytes.
 */
export function checkName(kind: 'channel' | 'stream', name: unknown): void {
  const rule = brokenRule(name)
  if (rule === undefined) return
  const shown = JSON.stringify(name)?.slice(0, 100)
  throw new TopicNameError(
    `The ${kind} ${shown} can't be read from Redis: the name of a ${kind} ${rule}.`,
  )
}

function brokenRule(name: unknown): string | undefined {
  if (typeof name !== 'string') return 'is a string'
  if (name === '') return 'is not empty'
  if (/\p{Cs}/u.test(name)) return 'has no lone surrogates'
  return undefined
}
