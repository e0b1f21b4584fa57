import { readFileSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { checkMeaning } from './meaning.js'
import type { Warning } from './meaning.js'
import { override } from './environment.js'
import { explain } from './explain.js'
import type { Mistake } from './explain.js'
import type { Place, Problem } from './problem.js'
import { ConfigError, pathText } from './problem.js'
import type { Config } from './schema.js'
import { schema } from './schema.js'
import { readSource } from './source.js'
import type { Source } from './source.js'

/** A configuration that can be used. */
export interface Loaded {
  readonly config: Config
  /** What its paths are relative to. */
  readonly folder: string
  /** The file, and those that its values came from. */
  readonly files: readonly string[]
  /** What is allowed, and is likely a mistake all the same. */
  readonly warnings: readonly string[]
  /** The paths whose values came from a file or a variable. */
  readonly borrowed: ReadonlySet<string>
}

type Env = Readonly<Record<string, string | undefined>>

/** A file larger than this is no configuration. */
const LARGEST = 2_000_000

/** Reads and checks a configuration file. @throws ConfigError with all that is wrong with it. */
export function loadFile(file: string, env: Env): Loaded {
  const folder = dirname(resolve(file))
  const loaded = loadText(file, readText(file), env, folder)
  return { ...loaded, files: [resolve(file), ...loaded.files] }
}

function readText(file: string): string {
  const refuse = (why: string): never => {
    throw new ConfigError([{ place: { file }, message: why }])
  }
  try {
    if (statSync(file).size > LARGEST)
      return refuse('The file is larger than 2 MB: it is no configuration.')
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof ConfigError) throw error
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return refuse('There is no such file. Make one with: unifrost init')
    if (code === 'EACCES') return refuse('This user may not read the file.')
    if (code === 'EISDIR') return refuse('It is a folder. Name the file.')
    return refuse(`The file can't be read (${code ?? 'no reason given'}).`)
  }
}

/** Checks a configuration's text. @throws ConfigError */
export function loadText(file: string, text: string, env: Env, folder: string): Loaded {
  const source = readSource(file, text, { env, folder })
  if (source.value === undefined && source.problems.length > 0)
    throw new ConfigError(source.problems)
  const overridden = override(schema, normalized(source.value ?? {}), env)
  const { value, variables } = overridden
  const problems = [...source.problems, ...overridden.problems]
  const at = (path: readonly PropertyKey[]) => valueAt(value, path)
  const place = placeIn(source, variables)
  const tell = ({ path, part, message }: Mistake) =>
    problems.push({ place: place(path, part), message })

  const result = schema.safeParse(value, { reportInput: false })
  if (!result.success) {
    const references = (path: readonly PropertyKey[]) => {
      const variable = variables.get(pathText(path))
      return variable === undefined ? source.references(path) : [variable]
    }
    explain(schema, result.error.issues, { at, references })
      .filter(({ path }) => !source.isUnfilled(path))
      .forEach(tell)
  }
  const warnings: string[] = []
  if (result.success) {
    const warn = ({ path, message }: Warning) =>
      warnings.push(textOf(place(path, 'value'), message))
    checkMeaning(
      result.data,
      { folder, given: value },
      (path, message, part = 'value') => tell({ path, part, message }),
      warn,
    )
  }
  if (problems.length > 0) throw new ConfigError(inOrder(problems))
  const borrowed = new Set(variables.keys())
  for (const path of pathsIn(value))
    if (source.references(path).length > 0) borrowed.add(pathText(path))
  return { config: result.data!, folder, files: source.files, warnings, borrowed }
}

function textOf({ file, line, column, variable }: Place, message: string): string {
  return `${variable ?? `${file}:${line ?? 1}:${column ?? 1}`}: ${message}`
}

function placeIn(source: Source, variables: ReadonlyMap<string, string>) {
  return (path: readonly PropertyKey[], part: 'key' | 'value'): Place => {
    for (let length = path.length; length > 0; length--) {
      const variable = variables.get(pathText(path.slice(0, length)))
      if (variable !== undefined) return { file: 'environment', variable }
    }
    return source.place(path, part)
  }
}

/** `broker: memory`, and a section of which nothing is said: `memory:`. */
function normalized(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const { broker } = value as { broker?: unknown }
  if (typeof broker === 'string') return { ...value, broker: { [broker]: {} } }
  if (typeof broker !== 'object' || broker === null || Array.isArray(broker)) return value
  const sections = Object.entries(broker).map(([name, section]) => [name, section ?? {}] as const)
  return { ...value, broker: Object.fromEntries(sections) }
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let here = value
  for (const part of path) {
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, part)) return undefined
    here = (here as Record<PropertyKey, unknown>)[part]
  }
  return here
}

function* pathsIn(value: unknown, path: PropertyKey[] = []): Generator<PropertyKey[]> {
  if (typeof value !== 'object' || value === null) {
    yield path
    return
  }
  for (const [key, inner] of Object.entries(value)) {
    yield* pathsIn(inner, [...path, Array.isArray(value) ? Number(key) : key])
  }
}

/** As they stand in the file, which is how they are mended. */
function inOrder(problems: readonly Problem[]): Problem[] {
  const rank = ({ place }: Problem) => (place.line ?? 0) * 10_000 + (place.column ?? 0)
  return [...problems].sort((one, other) => rank(one) - rank(other))
}
