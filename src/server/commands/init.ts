import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { nearest } from '../nearest.js'
import { firstFile, INIT_BROKERS } from '../first-file.js'
import type { InitBroker } from '../first-file.js'
import type { Context, Options } from './context.js'
import { UsageError } from './context.js'

/** Writes a commented file to begin with. It asks for what no flag says, where somebody is there. */
export async function init(options: Options, context: Context): Promise<number> {
  const { output = 'unifrost.yaml', force = false, yes = false } = options
  const broker = brokerFrom(
    options.broker ?? (yes || !context.asks ? '' : await askBroker(context)),
  )
  const file = resolve(context.cwd, output)
  const text = firstFile(broker, {
    secret: randomBytes(32).toString('base64url'),
    publishKey: randomBytes(24).toString('base64url'),
  })
  try {
    // It has secrets: others on this machine have no business with it.
    await writeFile(file, text, { mode: 0o600, flag: force ? 'w' : 'wx' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    throw new UsageError(
      `${output} is there already. Name another with --output, or write over it with --force.`,
    )
  }
  context.out(`${output} is written. Now: unifrost check, and unifrost start\n`)
  return 0
}

function brokerFrom(name: string): InitBroker {
  if (name === '') return 'memory'
  const found = INIT_BROKERS.find((it) => it === name)
  if (found !== undefined) return found
  const near = nearest(name, INIT_BROKERS)
  throw new UsageError(
    `There is no broker ${JSON.stringify(name)}.${near === undefined ? '' : ` Did you mean ${near}?`} There is ${INIT_BROKERS.join(', ')}.`,
  )
}

async function askBroker(context: Context): Promise<string> {
  return (await context.ask(`Which broker? (${INIT_BROKERS.join(', ')}) [memory] `)).trim()
}
