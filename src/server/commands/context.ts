import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** What a command has of the process: a test brings its own. */
export interface Context {
  readonly env: Readonly<Record<string, string | undefined>>
  /** The folder that the command was called in. */
  readonly cwd: string
  readonly version: string
  out(text: string): void
  err(text: string): void
  /** Whether somebody sits there who could be asked. */
  readonly asks: boolean
  /** Asks a question; the answer, or '' for none. */
  ask(question: string): Promise<string>
  /** Calls `listener` for each signal, until the returned function is called. */
  onSignal(signal: 'SIGTERM' | 'SIGINT' | 'SIGHUP' | 'SIGUSR2', listener: () => void): () => void
  /** Ends the process at once. */
  exit(code: number): void
}

/** What the options of the command line said. */
export interface Options {
  readonly config?: string | undefined
  readonly effective?: boolean | undefined
  readonly online?: boolean | undefined
  readonly port?: string | undefined
  readonly broker?: string | undefined
  readonly output?: string | undefined
  readonly force?: boolean | undefined
  readonly yes?: boolean | undefined
  readonly sub?: string | undefined
  readonly claim?: readonly string[] | undefined
  readonly expires?: string | undefined
  readonly issuer?: string | undefined
  readonly audience?: string | undefined
}

/** The command line is wrong. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** The file that was named, or the one that is there. */
export function configFile({ config }: Options, { cwd }: Context): string | undefined {
  if (config !== undefined) return config
  return ['unifrost.yaml', 'unifrost.yml'].find((name) => existsSync(join(cwd, name)))
}

/** @throws UsageError if there is none. */
export function neededFile(options: Options, context: Context): string {
  const file = configFile(options, context)
  if (file !== undefined) return file
  throw new UsageError(
    'There is no unifrost.yaml here. Name one with --config, or make one: unifrost init',
  )
}
