/** Where something stands in a configuration. */
export interface Place {
  /** The file, or `environment`. */
  readonly file: string
  readonly line?: number
  readonly column?: number
  /** The variable, where the value comes from the environment. */
  readonly variable?: string
}

/** One mistake in a configuration. */
export interface Problem {
  readonly place: Place
  /** What is wrong, what it got, what it takes, what to do. */
  readonly message: string
}

/** `unifrost.yaml:3:9: …`, as editors and terminals understand it. */
export function problemText({ place, message }: Problem): string {
  return `${placeText(place)}: ${message}`
}

function placeText({ file, line, column, variable }: Place): string {
  if (variable !== undefined) return `environment variable ${variable}`
  return line === undefined ? file : `${file}:${line}:${column ?? 1}`
}

/** `topics[0].match` */
export function pathText(path: readonly PropertyKey[]): string {
  let text = ''
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`
    else text += text === '' ? String(part) : `.${String(part)}`
  }
  return text
}

/** A configuration that can't be used. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly code = 'ERR_UNIFROST_CONFIG'
  constructor(readonly problems: readonly Problem[]) {
    super(problems.map(problemText).join('\n'))
  }
}
