import { effective } from '../config/effective.js'
import { jsonSchema } from '../config/json-schema.js'
import { loadFile } from '../config/load.js'
import { shownPath } from './check.js'
import type { Context, Options } from './context.js'
import { neededFile, UsageError } from './context.js'

/** Prints the configuration as it takes effect. */
export async function printEffective(options: Options, context: Context): Promise<number> {
  if (options.effective !== true)
    throw new UsageError('config takes --effective, which prints the file with all defaults.')
  const file = shownPath(neededFile(options, context), context)
  context.out(effective(loadFile(file, context.env)))
  return 0
}

/** Prints the JSON Schema. */
export async function printSchema(_options: Options, context: Context): Promise<number> {
  context.out(`${JSON.stringify(jsonSchema(), undefined, 2)}\n`)
  return 0
}
