import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments } from 'yaml'
import type { Document, Node, Pair, YAMLError } from 'yaml'
import { pathText } from './problem.js'
import type { Place, Problem } from './problem.js'
import { substitute } from './substitute.js'
import type { Surroundings } from './substitute.js'

/** What a configuration file says, and where it says it. */
export interface Source {
  readonly value: unknown
  readonly problems: readonly Problem[]
  /** Where the key or the value at a path stands; for a path that is not there, the nearest above. */
  place(path: readonly PropertyKey[], part?: 'key' | 'value'): Place
  /** The references that a value was made of: `['${PORT}']`. They are shown in the value's place. */
  references(path: readonly PropertyKey[]): readonly string[]
  /** Whether a reference in the value could not be filled in, which is among `problems`. */
  isUnfilled(path: readonly PropertyKey[]): boolean
  /** The files that values were read from. */
  readonly files: readonly string[]
}

/** Nested deeper than any configuration. */
const DEEPEST = 50
/** More values than any configuration has: a file of a few lines can name a million by aliases. */
const MOST_VALUES = 20_000

/** Reads a file's text. It never throws: what is wrong is among `problems`. */
export function readSource(file: string, text: string, surroundings: Surroundings): Source {
  return new Reader(file, surroundings).read(text)
}

class Reader implements Source {
  value: unknown
  readonly problems: Problem[] = []
  readonly files: string[] = []
  private readonly lines = new LineCounter()
  private readonly places = new Map<string, { key: number; value: number }>()
  private readonly made = new Map<string, readonly string[]>()
  private readonly unfilled = new Set<string>()
  private values = 0

  constructor(
    private readonly file: string,
    private readonly surroundings: Surroundings,
  ) {}

  read(text: string): Source {
    const documents = parseAllDocuments(text.replace(/^\uFEFF/, ''), {
      lineCounter: this.lines,
      prettyErrors: false,
    })
    const [document, second] = Array.isArray(documents) ? documents : []
    if (document === undefined) return this
    for (const error of document.errors) this.fault(error.pos[0], explained(error))
    if (second !== undefined && this.problems.length === 0) {
      this.fault(second.range[0], 'A second document begins here ("---"). The file takes one.')
    }
    if (this.problems.length === 0) this.value = this.convert(document, document.contents, [], 0)
    return this
  }

  place(path: readonly PropertyKey[], part: 'key' | 'value' = 'value'): Place {
    for (let length = path.length; length > 0; length--) {
      const found = this.places.get(pathText(path.slice(0, length)))
      if (found === undefined) continue
      return this.at(length === path.length ? found[part] : found.key)
    }
    return this.at(0)
  }

  references(path: readonly PropertyKey[]): readonly string[] {
    return this.made.get(pathText(path)) ?? []
  }

  isUnfilled(path: readonly PropertyKey[]): boolean {
    return this.unfilled.has(pathText(path))
  }

  private at(offset: number): Place {
    const { line, col } = this.lines.linePos(offset)
    return { file: this.file, line: Math.max(1, line), column: Math.max(1, col) }
  }

  private fault(offset: number, message: string): void {
    const place = this.at(offset)
    // YAML's reader says some things once for each bracket.
    const last = this.problems.at(-1)
    if (last?.message === message && last.place.line === place.line) return
    this.problems.push({ place, message })
  }

  private convert(
    document: Document,
    node: unknown,
    path: readonly PropertyKey[],
    depth: number,
  ): unknown {
    const offset = (node as Node | null)?.range?.[0] ?? 0
    if (++this.values > MOST_VALUES || depth > DEEPEST) {
      if (this.values !== Infinity) {
        this.fault(
          offset,
          `The file has more than ${MOST_VALUES} values, or more than ${DEEPEST} levels.`,
        )
      }
      this.values = Infinity
      return undefined
    }
    if (isAlias(node)) {
      if (node.resolve(document) === undefined) {
        this.fault(offset, `YAML: ${EXPLAINED.BAD_ALIAS}`)
        return undefined
      }
      // Its value is that of the anchor; what is wrong with it is told where the alias stands.
      return this.convert(document, node.resolve(document), path, depth + 1)
    }
    if (isMap(node)) return this.map(document, node.items, path, depth)
    if (isSeq(node)) {
      return node.items.map((item, index) => {
        this.note([...path, index], item, item)
        return this.convert(document, item, [...path, index], depth + 1)
      })
    }
    if (!isScalar(node)) return undefined
    return typeof node.value === 'string' ? this.filled(node.value, path, offset) : node.value
  }

  private map(
    document: Document,
    items: readonly Pair[],
    path: readonly PropertyKey[],
    depth: number,
  ): unknown {
    const result: Record<string, unknown> = Object.create(null) as Record<string, unknown>
    for (const { key, value } of items) {
      const offset = (key as Node | null)?.range?.[0] ?? 0
      const name = isScalar(key) ? key.value : undefined
      if (typeof name !== 'string' && typeof name !== 'number') {
        this.fault(offset, 'A key is a word. In braces, a list of values takes brackets: [a, b].')
        continue
      }
      const here = [...path, String(name)]
      this.note(here, key, value)
      result[String(name)] = this.convert(document, value, here, depth + 1)
    }
    return result
  }

  private note(path: readonly PropertyKey[], key: unknown, value: unknown): void {
    const at = (node: unknown) => (node as Node | null | undefined)?.range?.[0]
    const ofKey = at(key) ?? at(value) ?? 0
    this.places.set(pathText(path), { key: ofKey, value: at(value) ?? ofKey })
  }

  private filled(raw: string, path: readonly PropertyKey[], offset: number): string {
    if (!raw.includes('$')) return raw
    const filled = substitute(raw, this.surroundings)
    if ('fault' in filled) {
      this.unfilled.add(pathText(path))
      this.fault(offset, `${pathText(path)}: ${filled.fault}`)
      return raw
    }
    if (filled.from.length > 0) this.made.set(pathText(path), filled.from)
    this.files.push(...filled.files)
    return filled.text
  }
}

const EXPLAINED: Partial<Record<string, string>> = {
  DUPLICATE_KEY: 'This key stands twice in the same place. Keep one of them.',
  TAB_AS_INDENT: 'A tab indents this line. YAML takes spaces.',
  BAD_ALIAS: 'This alias (*) names no anchor (&) that stands before it. For text, quote it: "*".',
  MULTIPLE_ANCHORS: 'A value has one anchor (&) at most.',
  MISSING_CHAR: 'A closing quote, bracket or brace is missing, or a comma between two values.',
  BAD_INDENT: 'This line is not indented as the lines that it belongs to.',
  BLOCK_AS_IMPLICIT_KEY:
    'A key and a value can\'t begin here: two "key:" stand in one line, or the indentation is wrong.',
  BAD_SCALAR_START: 'A text that begins with this character takes quotes.',
  MULTILINE_IMPLICIT_KEY: 'A key stands on one line, and ": " is between a key and its value.',
  UNEXPECTED_TOKEN: 'This is not expected here. Check the brackets, quotes and the indentation.',
  TAG_RESOLVE_FAILED: 'This tag (!) is not known. Leave it out, or quote the text.',
}

function explained(error: YAMLError): string {
  const tab = /\btabs?\b/i.test(error.message) ? EXPLAINED.TAB_AS_INDENT : undefined
  const flow = /^Flow /.test(error.message) ? EXPLAINED.MISSING_CHAR : undefined
  const text = tab ?? flow ?? EXPLAINED[error.code] ?? error.message
  // The library quotes what stands there, which may be a secret.
  return `YAML: ${text.replace(/:? ?"[^"]{12,}"/g, '')}`
}
