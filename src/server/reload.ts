import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Loaded } from './config/load.js'
import type { Config } from './config/schema.js'
import { keepsSomething, keptBy } from './topic-options.js'

/** The sections that take effect while streams are open, beside what `RESTARTED` names. */
const LIVE: readonly (keyof Config)[] = [
  'auth',
  'topics',
  'publish',
  'control',
  'cors',
  'log',
  'drain',
]

/** The paths whose changes need a restart, where a configuration differs in them from another. */
export function restartNeeded(before: Config, after: Config): string[] {
  const changed = same(allKeptBy(before), allKeptBy(after)) ? [] : ['topics']
  for (const key of Object.keys({ ...before, ...after }) as (keyof Config)[]) {
    if (LIVE.includes(key) || same(before[key], after[key])) continue
    const [was, is] = [before[key] ?? {}, after[key] ?? {}] as Record<string, unknown>[]
    for (const inner of Object.keys({ ...was, ...is })) {
      if (!isLive(key, inner, before, after) && !same(was![inner], is![inner])) {
        changed.push(`${key}.${inner}`)
      }
    }
  }
  return changed
}

/** What rules say of their topics beside who may have them. */
function allKeptBy({ topics }: Config): unknown {
  return topics.map(keptBy).filter(keepsSomething)
}

function isLive(key: keyof Config, inner: string, before: Config, after: Config): boolean {
  if (key === 'limits') return inner !== 'newPerSecond' && inner !== 'messageBytes'
  if (key !== 'listen') return false
  // Another certificate takes effect, and TLS where there was none does not.
  const bothTls = before.listen.tls !== undefined && after.listen.tls !== undefined
  return inner === 'trustProxy' || (inner === 'tls' && bothTls)
}

function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}

/** All files that a configuration's effect depends on. */
export function filesOf({ config, files, folder }: Loaded): string[] {
  const { listen, auth } = config
  const named = [
    listen.tls?.cert,
    listen.tls?.key,
    ...(auth?.issuers ?? []).map(({ jwks }) => jwks),
  ]
  const paths = named.filter((path) => path !== undefined && !/^https?:/.test(path)) as string[]
  return [...files, ...paths.map((path) => resolve(folder, path))]
}

/** What the files hold, to tell whether anything has changed. A file that is gone is empty. */
export function printOf(loaded: Loaded): string {
  const texts = filesOf(loaded).map((file) => {
    try {
      return `${file}\0${readFileSync(file, 'utf8')}`
    } catch (error) {
      return `${file}\0${(error as NodeJS.ErrnoException).code}`
    }
  })
  return [JSON.stringify(loaded.config), ...texts].join('\0')
}
