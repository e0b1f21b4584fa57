import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

/** Where the values come from that a configuration only names. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  /** What paths are relative to: the configuration file's folder. */
  readonly folder: string
}

/** Text with its references filled in, or why one of them can't be. */
export type Filled =
  | { readonly text: string; readonly from: readonly string[]; readonly files: readonly string[] }
  | { readonly fault: string; readonly at: number }

const REFERENCE = /\$\$|\$\{([^}]*)\}|\$\{/g
const VARIABLE = /^([A-Za-z_]\w*)(?:(:-)([^]*))?$/

/**
 * Fills in `${VAR}`, `${VAR:-default}` and `${file:path}`. `$$` is a dollar sign. A file's last line
 * break is left out, since editors and `echo` add one.
 */
export function substitute(raw: string, surroundings: Surroundings): Filled {
  const from: string[] = []
  const files: string[] = []
  let text = ''
  let end = 0
  for (const match of raw.matchAll(REFERENCE)) {
    const [whole, reference] = match
    text += raw.slice(end, match.index)
    end = match.index + whole.length
    if (whole === '$$') {
      text += '$'
      continue
    }
    const filled = valueOf(reference, surroundings)
    if ('fault' in filled) return { fault: filled.fault, at: match.index }
    text += filled.value
    from.push(whole)
    if (filled.file !== undefined) files.push(filled.file)
  }
  return { text: text + raw.slice(end), from, files }
}

type Value = { readonly value: string; readonly file?: string } | { readonly fault: string }

function valueOf(reference: string | undefined, { env, folder }: Surroundings): Value {
  if (reference === undefined) {
    return { fault: '"${" has no closing brace. Write ${NAME}, or $${ for the text itself.' }
  }
  if (reference.startsWith('file:')) return fileValue(reference.slice(5), folder)
  const [, name, hasDefault, fallback = ''] = VARIABLE.exec(reference) ?? []
  if (name === undefined) {
    return {
      fault:
        `"\${${reference.slice(0, 40)}}" is no reference. It takes \${NAME}, \${NAME:-default} ` +
        'or ${file:path}; $$ is a dollar sign.',
    }
  }
  const value = env[name]
  if (value !== undefined && (value !== '' || hasDefault === undefined)) return { value }
  if (hasDefault !== undefined) return { value: fallback }
  return {
    fault: `The environment variable ${name} is not set. Set it, or give a default: \${${name}:-…}.`,
  }
}

const FILE_FAULTS: Record<string, string> = {
  ENOENT: 'There is no such file.',
  EACCES: 'This user may not read it.',
  EISDIR: 'It is a folder.',
}
/** A secret, a key or a certificate is smaller. */
const LARGEST_FILE = 1_000_000

function fileValue(path: string, folder: string): Value {
  const file = resolve(folder, path)
  if (path === '') return { fault: '"${file:}" names no file. Write ${file:/run/secrets/name}.' }
  try {
    const value = readFileSync(file, 'utf8').replace(/\r?\n$/, '')
    if (value.length <= LARGEST_FILE) return { value, file }
    return { fault: `The file ${path} is larger than 1 MB: too large for a value.` }
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    return { fault: `The file ${path} can't be read. ${FILE_FAULTS[code] ?? code}`.trim() }
  }
}
