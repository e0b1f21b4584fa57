import { join } from 'node:path'

/** What the bench builds and remembers; git ignores it. */
export const CACHE = join(import.meta.dirname, '../.cache/bench')
export const DOCS = join(import.meta.dirname, '../docs')
export const BASELINE = join(import.meta.dirname, 'baseline.json')
