import type { z } from 'zod'
import { nearest } from '../nearest.js'
import { MISSING, UNFIT, wordsOf } from './scalars.js'
import { pathText } from './problem.js'
import { bare, isSecret, keysAt, schemasAt, takesOf } from './walk.js'

/** A mistake at a path. */
export interface Mistake {
  readonly path: readonly PropertyKey[]
  /** Whether the key itself is wrong, and not its value. */
  readonly part: 'key' | 'value'
  readonly message: string
}

/** What an error says of the values that it is about. */
export interface Values {
  /** What stands at a path, or undefined. */
  at(path: readonly PropertyKey[]): unknown
  /** The references that the value was made of. */
  references(path: readonly PropertyKey[]): readonly string[]
}

type Issue = z.core.$ZodIssue

/** Says in words what the checks have found. */
export function explain(root: z.ZodType, issues: readonly Issue[], values: Values): Mistake[] {
  return issues.flatMap((issue) => mistakesOf(root, issue, [], values))
}

function mistakesOf(
  root: z.ZodType,
  issue: Issue,
  above: PropertyKey[],
  values: Values,
): Mistake[] {
  const path = [...above, ...issue.path]
  const name = pathText(path) || 'The configuration'
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => unknownKey(root, path, key))
  }
  const value = values.at(path)
  const schemas = schemasAt(root, path)
  const takes = schemas.map(takesOf).join(', or ') || 'nothing'
  if (issue.code === 'invalid_union') {
    // Of the forms, the one that got furthest is the one that was meant.
    const deeper = issue.errors.find((errors) =>
      errors.some((error) => error.path.length > 0 || error.code === 'unrecognized_keys'),
    )
    if (deeper !== undefined)
      return deeper.flatMap((error) => mistakesOf(root, error, path, values))
  }
  const isMissing = value === undefined || (value === null && issue.message === MISSING)
  if (isMissing) return [{ path, part: 'key', message: `${name} is missing. It takes ${takes}.` }]
  const says = issue.code === 'custom' && ![MISSING, UNFIT].includes(issue.message)
  const hint = says ? ` ${issue.message}` : ''
  // Beside secrets, a long text may be one that has come to the wrong key.
  const besideSecrets = schemasAt(root, path.slice(0, -1)).some(isSecret)
  const got = shown(value, schemas, values.references(path), path.length > 1 && besideSecrets)
  return [{ path, part: 'value', message: `${name} takes ${takes}; it got ${got}.${hint}` }]
}

/** What the library has, and this server does not take from a file. */
const NOT_HERE: Readonly<Record<string, string>> = {
  'admin.console': 'The server has no console.',
}

function unknownKey(root: z.ZodType, path: readonly PropertyKey[], key: string): Mistake {
  const name = [...path.filter((part) => typeof part === 'string'), key].join('.')
  const why = Object.hasOwn(NOT_HERE, name) ? NOT_HERE[name] : undefined
  if (why !== undefined) {
    const message = `${pathText([...path, key])} is not supported. ${why} Leave it out.`
    return { path: [...path, key], part: 'key', message }
  }
  const known = keysAt(root, path)
  const near = nearest(key, known)
  const hint = near === undefined ? '' : ` Did you mean ${near}?`
  const merge =
    key === '<<' ? ' Merge keys (<<) are of YAML 1.1: use an alias for the whole value.' : ''
  const elsewhere = near === undefined ? placeElsewhere(root, path, key) : ''
  const where = path.length === 0 ? 'the configuration' : pathText(path)
  const message = `${key.slice(0, 60)} is no key of ${where}.${hint}${merge}${elsewhere} It has ${known.join(', ')}.`
  return { path: [...path, key], part: 'key', message }
}

/** Where a key of this name would be, if not here: for what was put one level too high or too low. */
function placeElsewhere(root: z.ZodType, path: readonly PropertyKey[], key: string): string {
  const above = path.slice(0, -1)
  if (path.length > 0 && keysAt(root, above).includes(key)) {
    return ` It is a key of ${pathText(above) || 'the configuration'}: check the indentation.`
  }
  for (const section of keysAt(root, [])) {
    if (keysAt(root, [section]).includes(key)) return ` There is ${section}.${key}.`
  }
  return ''
}

/** A value for an error. What is secret, or came from elsewhere, is not shown. */
function shown(
  value: unknown,
  schemas: readonly z.ZodType[],
  references: readonly string[],
  besideSecrets: boolean,
): string {
  if (references.length > 0) return `the value of ${references.join(' and ')}`
  if (typeof value === 'object' && value !== null) {
    return Array.isArray(value) ? 'a list' : `keys (${Object.keys(value).slice(0, 8).join(', ')})`
  }
  if (value === null) return 'nothing'
  if (typeof value !== 'string') return JSON.stringify(value) ?? 'nothing'
  const mayBeSecret = schemas.length === 0 || (besideSecrets && value.length > 20)
  if (mayBeSecret || schemas.some(isSecret)) return 'another text, which is not shown'
  if (schemas.some((schema) => wordsOf(bare(schema))?.address) && value.includes('@')) {
    return 'another text, which is not shown since it may hold a password'
  }
  return value.length > 60 ? `a text of ${value.length} characters` : JSON.stringify(value)
}
