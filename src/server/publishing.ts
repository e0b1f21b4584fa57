import { createHash, timingSafeEqual } from 'node:crypto'
import type { Config } from './config/schema.js'
import { anyOf } from './rules.js'

type Publish = NonNullable<Config['publish']>

/** What a key may publish to. */
export type MayPublish = (topic: string) => boolean

const digest = (text: string) => createHash('sha256').update(text).digest()

/** Whether a key is one of these. The time that it takes tells nothing of the keys. */
export function keyChecker(keys: readonly string[]): (key: string) => boolean {
  const known = keys.map(digest)
  return (key) => {
    const hash = digest(key)
    let isKnown = false
    for (const one of known) isKnown = timingSafeEqual(one, hash) || isKnown
    return isKnown
  }
}

/** Finds what a key may do. The time that it takes tells nothing of the keys. */
export function publishKeys({ keys, topics }: Publish): (key: string) => MayPublish | undefined {
  const known = keys.map((it) => ({ hash: digest(it.key), may: anyOf(it.topics ?? topics) }))
  return (key) => {
    const hash = digest(key)
    let found: MayPublish | undefined
    for (const one of known) if (timingSafeEqual(one.hash, hash)) found = one.may
    return found
  }
}
