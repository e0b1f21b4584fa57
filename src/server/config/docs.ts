import { z } from 'zod'
import { schema } from './schema.js'
import { bare, formsOf, takesOf } from './walk.js'

/** The table of all keys, as docs/server.md has it. */
export function keysTable(): string {
  const rows = [...rowsOf(schema, '')]
  return ['| key | takes | default | what it is for |', '| --- | --- | --- | --- |', ...rows].join(
    '\n',
  )
}

function* rowsOf(from: z.ZodType, path: string): Generator<string> {
  for (const form of formsOf(from)) {
    if (form instanceof z.ZodArray) yield* rowsOf(form.element as z.ZodType, `${path}[]`)
    if (!(form instanceof z.ZodObject)) continue
    const shape: Record<string, z.ZodType> = form.shape
    for (const [key, inner] of Object.entries(shape)) {
      const name = path === '' ? key : `${path}.${key}`
      yield `| \`${name}\` | ${cell(takes(inner))} | ${cell(defaultOf(inner))} | ${cell(inner.description ?? '')} |`
      yield* rowsOf(inner, name)
    }
  }
}

function takes(inner: z.ZodType): string {
  const form = bare(inner)
  if (form instanceof z.ZodObject) return 'keys'
  const isList =
    form instanceof z.ZodArray &&
    formsOf(form.element as z.ZodType).some((it) => it instanceof z.ZodObject)
  return isList ? 'a list of keys' : takesOf(inner)
}

function defaultOf(inner: z.ZodType): string {
  if (inner instanceof z.ZodPrefault) {
    const value: unknown = inner.def.defaultValue
    if (typeof value === 'object')
      return JSON.stringify(value) === '{}' ? '' : `\`${JSON.stringify(value)}\``
    return typeof value === 'string' ? `\`${value}\`` : `\`${JSON.stringify(value)}\``
  }
  return inner instanceof z.ZodOptional ? '' : 'needed'
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}
