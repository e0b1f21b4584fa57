import { stringify } from 'yaml'
import { z } from 'zod'
import type { Loaded } from './load.js'
import { pathText } from './problem.js'
import { wordsOf } from './scalars.js'
import { schema } from './schema.js'
import { bare, isSecret, schemasAt } from './walk.js'

const HIDDEN = '(hidden)'

/**
 * The configuration as it takes effect, as YAML, with all defaults. Durations are in milliseconds and
 * sizes in bytes. Secrets are hidden, and so is what was read from a file, and a password in an address.
 */
export function effective({ config, borrowed }: Loaded): string {
  return stringify(hidden(config, [], borrowed), { aliasDuplicateObjects: false })
}

function hidden(value: unknown, path: PropertyKey[], borrowed: ReadonlySet<string>): unknown {
  if (value === undefined) return undefined
  const schemas = schemasAt(schema, path)
  if (typeof value !== 'object' || value === null) {
    if (schemas.length === 0 || schemas.some(isSecret)) return HIDDEN
    const isAddress = schemas.some((it) => wordsOf(bare(it))?.address === true)
    if (typeof value !== 'string') return value
    return isAddress || borrowed.has(pathText(path)) ? withoutPassword(value) : value
  }
  if (Array.isArray(value)) {
    // A list that may be written as one value alone.
    const list: unknown[] = value
    if (schemas.some((it) => isSecret(it) && !hasObjects(it))) return list.map(() => HIDDEN)
    return list.map((item, index) => hidden(item, [...path, index], borrowed))
  }
  const entries = Object.entries(value).map(([key, inner]) => [
    key,
    hidden(inner, [...path, key], borrowed),
  ])
  return Object.fromEntries(entries.filter(([, inner]) => inner !== undefined))
}

function hasObjects(it: z.ZodType): boolean {
  const inner = bare(it)
  if (inner instanceof z.ZodArray) return hasObjects(inner.element as z.ZodType)
  if (inner instanceof z.ZodUnion) return (inner.options as z.ZodType[]).some(hasObjects)
  return inner instanceof z.ZodObject
}

/** `redis://(hidden)@host` */
export function withoutPassword(address: string): string {
  return address.replace(/^([a-z][a-z\d+.-]*:\/\/)[^/?#]*@/i, `$1${HIDDEN}@`)
}
