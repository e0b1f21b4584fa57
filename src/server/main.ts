import { createInterface } from 'node:readline/promises'
import { runCommand } from './cli.js'
import type { Context } from './commands/context.js'

/** The package's version: the build writes it here. */
declare const UNIFROST_VERSION: string

const context: Context = {
  env: process.env,
  cwd: process.cwd(),
  version: UNIFROST_VERSION,
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  asks: process.stdin.isTTY && process.stdout.isTTY,
  async ask(question) {
    const terminal = createInterface({ input: process.stdin, output: process.stdout })
    try {
      return await terminal.question(question)
    } finally {
      terminal.close()
    }
  },
  onSignal(signal, listener) {
    process.on(signal, listener)
    return () => process.off(signal, listener)
  },
  exit: (code) => process.exit(code),
}

void runCommand(process.argv.slice(2), context).then((code) => {
  process.exitCode = code
})
