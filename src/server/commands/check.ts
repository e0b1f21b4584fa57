import { resolve } from 'node:path'
import { loadFile } from '../config/load.js'
import { checkOnline } from '../online.js'
import type { Context, Options } from './context.js'
import { neededFile } from './context.js'

/** Says what is wrong with a file. With `online`, it also connects to what the file names. */
export async function check(options: Options, context: Context): Promise<number> {
  const file = neededFile(options, context)
  const loaded = loadFile(shownPath(file, context), context.env)
  for (const warning of loaded.warnings) context.err(`${warning} (warning)\n`)
  if (options.online !== true) {
    context.out(`${file} is right.\n`)
    return 0
  }
  let faults = 0
  for (const { what, fault } of await checkOnline(loaded)) {
    if (fault === undefined) context.out(`${what}: reached.\n`)
    else {
      faults++
      context.err(`${file}: ${what}: ${fault}\n`)
    }
  }
  return faults === 0 ? 0 : 1
}

/** The path as it was given, where it means the same file from here. */
export function shownPath(file: string, { cwd }: Context): string {
  return resolve(cwd, file) === resolve(file) ? file : resolve(cwd, file)
}
