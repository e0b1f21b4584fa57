import type { SpecialNames } from '../../driver-kit/topic-kind.js'

/**
 * Redis reports on itself in channels that begin with two underscores, such as `__keyspace@0__:…`. What
 * begins with `unifrost:` is the directory's, by its default prefix.
 */
export const SPECIAL_CHANNELS: SpecialNames = {
  internal: (name) => /^(__|\{?unifrost\}?:)/.test(name),
}
