import { z } from 'zod'
import { wordsOf } from './scalars.js'

/** Takes off what stands around a schema: that it is optional, and its default. */
export function bare(schema: z.ZodType): z.ZodType {
  let inner = schema
  while (inner instanceof z.ZodOptional || inner instanceof z.ZodPrefault) {
    inner = inner.unwrap() as z.ZodType
  }
  return inner
}

/** The schemas that take a value at this place: several where it may have several forms. */
export function formsOf(schema: z.ZodType): z.ZodType[] {
  const inner = bare(schema)
  if (inner instanceof z.ZodUnion) return (inner.options as z.ZodType[]).flatMap(formsOf)
  // A value that is only put into another form.
  if (inner instanceof z.ZodPipe && wordsOf(inner) === undefined) {
    return formsOf(inner.in as z.ZodType)
  }
  return [inner]
}

/** The schemas at a path. None where the path leads to a key that does not exist. */
export function schemasAt(root: z.ZodType, path: readonly PropertyKey[]): z.ZodType[] {
  let here = [root]
  for (const part of path) here = here.flatMap(formsOf).flatMap((form) => insideOf(form, part))
  return here
}

function insideOf(form: z.ZodType, part: PropertyKey): z.ZodType[] {
  if (form instanceof z.ZodArray) return [form.element as z.ZodType]
  if (!(form instanceof z.ZodObject)) return []
  const shape = form.shape as Record<string, z.ZodType>
  return Object.hasOwn(shape, part) ? [shape[String(part)]!] : []
}

/** The keys that an object has at a path. */
export function keysAt(root: z.ZodType, path: readonly PropertyKey[]): string[] {
  const objects = schemasAt(root, path).flatMap(formsOf)
  return objects.flatMap((form) => (form instanceof z.ZodObject ? Object.keys(form.shape) : []))
}

/** What a schema takes, in words. */
export function takesOf(schema: z.ZodType): string {
  const said = wordsOf(bare(schema))
  if (said !== undefined) return said.takes
  const inner = bare(schema)
  if (inner instanceof z.ZodObject) return `keys: ${Object.keys(inner.shape).join(', ')}`
  if (inner instanceof z.ZodArray) return `a list; each of ${takesOf(inner.element as z.ZodType)}`
  const forms = formsOf(inner)
  return forms.length === 1 && forms[0] === inner ? 'a value' : forms.map(takesOf).join(', or ')
}

/** Whether this schema, or one inside it, holds what must not be shown. */
export function isSecret(schema: z.ZodType): boolean {
  return formsOf(schema).some((form) => {
    if (wordsOf(form)?.secret === true) return true
    if (form instanceof z.ZodArray) return isSecret(form.element as z.ZodType)
    return form instanceof z.ZodObject && Object.values(form.shape).some(isSecret)
  })
}
