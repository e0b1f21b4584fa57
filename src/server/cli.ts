import { parseArgs } from 'node:util'
import { check } from './commands/check.js'
import type { Context } from './commands/context.js'
import { UsageError } from './commands/context.js'
import { init } from './commands/init.js'
import { printEffective, printSchema } from './commands/print.js'
import { start } from './commands/start.js'
import { token } from './commands/token.js'
import { ConfigError } from './config/problem.js'
import { nearest } from './nearest.js'

const USAGE = `unifrost: the topics of your message broker, for browsers

  unifrost [start] [--config unifrost.yaml]   serves; without a file: in memory, on localhost
  unifrost init [--broker NAME] [--output F]  writes a commented file to begin with
  unifrost check [--online]                   says what is wrong with the file; exits with 1
  unifrost config --effective                 prints the file with all defaults, secrets hidden
  unifrost schema                             prints the file's JSON Schema, for editors
  unifrost token --sub NAME [--claim K=V]     prints a signed token to try with
  unifrost --version, unifrost --help

Options
  -c, --config FILE    default: unifrost.yaml or unifrost.yml, if there is one
      --port N         start without a file: the port. Default: 8080
      --online         check: also connects to the broker and to the issuers
      --expires TIME   token: how long it is valid. Default: 1h
      --issuer NAME    token: whose it is, where the file has several
      --force          init: writes over a file that is there

Any key can be set by a variable: UNIFROST__LISTEN__PORT=80 is listen.port.
`

const OPTIONS = {
  config: { type: 'string', short: 'c' },
  effective: { type: 'boolean' },
  online: { type: 'boolean' },
  port: { type: 'string' },
  broker: { type: 'string' },
  output: { type: 'string', short: 'o' },
  force: { type: 'boolean' },
  yes: { type: 'boolean', short: 'y' },
  sub: { type: 'string' },
  claim: { type: 'string', multiple: true },
  expires: { type: 'string' },
  issuer: { type: 'string' },
  audience: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
} as const

/** The options that each command takes, beside `--help`. */
const COMMANDS = {
  start: { run: start, takes: ['config', 'port'] },
  init: { run: init, takes: ['broker', 'output', 'force', 'yes'] },
  check: { run: check, takes: ['config', 'online'] },
  config: { run: printEffective, takes: ['config', 'effective'] },
  schema: { run: printSchema, takes: [] },
  token: { run: token, takes: ['config', 'sub', 'claim', 'expires', 'issuer', 'audience'] },
} as const

/** Runs a command. It gives the code to exit with, and never throws. */
export async function runCommand(args: readonly string[], context: Context): Promise<number> {
  try {
    const { values, positionals } = parsed(args)
    if (values.version) return print(context, `${context.version}\n`)
    if (values.help) return print(context, USAGE)
    const [name = 'start', file, ...more] = positionals
    const command = Object.hasOwn(COMMANDS, name)
      ? COMMANDS[name as keyof typeof COMMANDS]
      : undefined
    if (command === undefined) {
      const near = nearest(name, Object.keys(COMMANDS))
      throw new UsageError(
        `There is no command ${JSON.stringify(name)}.${near === undefined ? '' : ` Did you mean ${near}?`}`,
      )
    }
    const takes: readonly string[] = command.takes
    // A file may also be named without --config, where there is one.
    const config = takes.includes('config') && file !== undefined ? file : undefined
    if (more.length > 0 || (file !== undefined && config === undefined)) {
      throw new UsageError(`${name} takes no ${JSON.stringify(more[0] ?? file)}.`)
    }
    const strange = Object.keys(values).find((option) => !takes.includes(option))
    if (strange !== undefined) throw new UsageError(`${name} takes no --${strange}.`)
    return await command.run({ ...values, ...(config !== undefined && { config }) }, context)
  } catch (error) {
    return failed(error, context)
  }
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true })
  } catch (error) {
    const message = (error as Error).message.split('. ')[0]!
    const option = /--([\w-]+)/.exec(message)?.[1]
    const near = option === undefined ? undefined : nearest(option, Object.keys(OPTIONS))
    const hint = near === undefined || near === option ? '' : ` Did you mean --${near}?`
    throw new UsageError(`${message}.${hint}`)
  }
}

function print(context: Context, text: string): number {
  context.out(text)
  return 0
}

function failed(error: unknown, { err }: Context): number {
  if (error instanceof ConfigError) {
    err(`${error.message}\n`)
    const { length } = error.problems
    err(`${length} ${length === 1 ? 'mistake' : 'mistakes'}.\n`)
    return 1
  }
  if (error instanceof UsageError) {
    err(`unifrost: ${error.message}\nunifrost --help says what there is.\n`)
    return 2
  }
  err(`unifrost: ${error instanceof Error ? error.message : String(error)}\n`)
  return 1
}
