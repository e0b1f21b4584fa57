import { z } from 'zod'
import { wordsOf } from './scalars.js'
import { schema } from './schema.js'

/** The JSON Schema of a configuration file, for editors. */
export function jsonSchema(): Record<string, unknown> {
  const made = z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema: json }) => {
      const said = wordsOf(zodSchema as unknown as z.ZodType)
      if (said?.json !== undefined) Object.assign(json, withReferences(said.json))
    },
  })
  return { $id: 'https://unifrost.dev/server.schema.json', title: 'unifrost server', ...made }
}

/** A value may be text that is filled in later: `port: ${PORT}`. */
function withReferences(json: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return { anyOf: [json, { type: 'string', pattern: '\\$\\{' }] }
}
