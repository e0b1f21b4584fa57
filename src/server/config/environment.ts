import { parse } from 'yaml'
import type { z } from 'zod'
import { nearest } from '../nearest.js'
import type { Problem } from './problem.js'
import { pathText } from './problem.js'
import { formsOf, keysAt, schemasAt } from './walk.js'

/** What begins the name of a variable that sets a key. Kubernetes' own never have two underscores here. */
const PREFIX = 'UNIFROST__'

/** A configuration with the environment's values put in. */
export interface Overridden {
  readonly value: unknown
  readonly problems: readonly Problem[]
  /** The variable that a path's value came from. */
  readonly variables: ReadonlyMap<string, string>
}

/**
 * Puts in what variables say: `UNIFROST__LISTEN__PORT=80` is `listen.port`. Underscores inside a name
 * and capitals do not count: `CONNECTIONS_PER_ADDRESS` is `connectionsPerAddress`. A value that begins
 * with a bracket or a brace is read as YAML, for lists.
 */
export function override(
  root: z.ZodType,
  value: unknown,
  env: Readonly<Record<string, string | undefined>>,
): Overridden {
  const problems: Problem[] = []
  const variables = new Map<string, string>()
  let result = value
  for (const [variable, text] of Object.entries(env).sort()) {
    if (!variable.startsWith(PREFIX) || text === undefined) continue
    const place = { file: 'environment', variable }
    const found = pathOf(root, variable.slice(PREFIX.length).split('__'))
    if ('fault' in found) {
      problems.push({ place, message: found.fault })
      continue
    }
    try {
      result = put(result, found.path, valueOf(text))
      variables.set(pathText(found.path), variable)
    } catch (error) {
      problems.push({ place, message: `Its value is no YAML: ${firstLine(error)}` })
    }
  }
  return { value: result, problems, variables }
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]!.slice(0, 80)
}

function valueOf(text: string): unknown {
  return /^\s*[[{]/.test(text) ? parse(text, { prettyErrors: false, maxAliasCount: 0 }) : text
}

function pathOf(
  root: z.ZodType,
  parts: readonly string[],
): { path: PropertyKey[] } | { fault: string } {
  const path: PropertyKey[] = []
  for (const part of parts) {
    const isList = schemasAt(root, path)
      .flatMap(formsOf)
      .some((form) => form.type === 'array')
    if (isList && /^\d{1,4}$/.test(part)) {
      path.push(Number(part))
      continue
    }
    const keys = keysAt(root, path)
    const wanted = part.replaceAll('_', '').toLowerCase()
    const key = keys.find((it) => it.replace(/[-_]/g, '').toLowerCase() === wanted)
    if (key === undefined) return { fault: unknown(pathText(path), part, keys) }
    path.push(key)
  }
  return { path }
}

function unknown(where: string, part: string, keys: readonly string[]): string {
  const near = nearest(part, keys)
  const hint = near === undefined ? '' : ` Did you mean ${near.toUpperCase()}?`
  const has = keys.length === 0 ? 'none' : keys.join(', ')
  return `${part} is no key of ${where || 'the configuration'}.${hint} It has ${has}.`
}

/** A copy of `target` with a value at a path. */
function put(target: unknown, path: readonly PropertyKey[], value: unknown): unknown {
  const [key, ...rest] = path
  if (key === undefined) return value
  if (typeof key === 'number') {
    const list: unknown[] = Array.isArray(target) ? [...(target as unknown[])] : []
    list[key] = put(list[key], rest, value)
    return list
  }
  const object = typeof target === 'object' && target !== null ? target : {}
  const inner = (object as Record<PropertyKey, unknown>)[key]
  return { ...object, [key]: put(inner, rest, value) }
}
