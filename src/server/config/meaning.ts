import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { createSecureContext } from 'node:tls'
import { compilePattern, PatternError } from '../pattern.js'
import type { Config } from './schema.js'

/** Something that is likely a mistake. */
export interface Warning {
  readonly path: readonly PropertyKey[]
  readonly message: string
}

interface Given {
  readonly folder: string
  /** What was written, without the defaults. */
  readonly given: unknown
}

type Tell = (path: readonly PropertyKey[], message: string, part?: 'key' | 'value') => void

/** Checks what single keys can't show: keys that need or exclude one another, and files. */
export function checkMeaning(
  config: Config,
  given: Given,
  tell: Tell,
  warn: (warning: Warning) => void,
): void {
  checkBroker(config, tell)
  checkDirectory(config, tell)
  checkPorts(config, given, tell)
  checkAuth(config, given, tell)
  checkRules(config, tell, warn)
  checkPublish(config, tell, warn)
  checkRuns(config, tell)
  const { maxBytes, maxBytesPerTopic = 0 } = config.history
  if (maxBytesPerTopic > maxBytes)
    tell(['history', 'maxBytesPerTopic'], 'history.maxBytesPerTopic is above history.maxBytes.')
  const origins = config.cors?.origins ?? []
  if (origins.includes('*') && origins.length > 1) {
    tell(
      ['cors', 'origins'],
      'cors.origins has * beside others. Name the origins, or leave the others out.',
    )
  }
}

function checkBroker({ broker }: Config, tell: Tell): void {
  const [first, second] = Object.keys(broker)
  if (first === undefined)
    tell(['broker'], 'broker takes one section, such as memory or redis; it got none.')
  if (second === undefined) return
  tell(
    ['broker', second],
    `broker takes one section; it got ${Object.keys(broker).join(' and ')}. A server carries one broker: run a second server for the other.`,
    'key',
  )
}

/** The brokers whose driver publishes. */
const PUBLISHING: readonly string[] = [
  ...['memory', 'redis', 'redis-streams', 'nats', 'jetstream', 'rabbitmq', 'postgres'],
]

/** Whether the server can publish to this broker. */
export function publishes(broker: string): boolean {
  return PUBLISHING.includes(broker)
}

function checkDirectory({ directory, broker, workers = 1 }: Config, tell: Tell): void {
  if (directory === undefined) return
  if (workers !== 1) {
    tell(
      ['directory'],
      'directory is for servers of one process: workers share their clients by themselves. Leave one of the two out.',
      'key',
    )
  }
  const names = Object.keys(directory)
  if (names.length !== 1) {
    tell(
      ['directory'],
      `directory takes one of redis and nats; it got ${names.join(' and ') || 'none'}.`,
    )
  }
  const { nats } = directory
  if (nats === undefined) return
  if (![1, 3, 5].includes(nats.replicas)) {
    tell(
      ['directory', 'nats', 'replicas'],
      `directory.nats.replicas takes 1, 3 or 5; it got ${nats.replicas}.`,
    )
  }
  if (nats.servers !== undefined || broker.nats !== undefined || broker.jetstream !== undefined)
    return
  tell(
    ['directory', 'nats'],
    'directory.nats.servers is missing: the broker is not NATS. It takes an address such as nats://localhost:4222.',
    'key',
  )
}

function checkPorts({ listen, admin }: Config, { folder }: Given, tell: Tell): void {
  if (admin !== undefined && admin.port === listen.port && listen.port !== 0) {
    tell(
      ['admin', 'port'],
      `admin.port and listen.port are both ${listen.port}. Give each its own.`,
    )
  }
  if (listen.tls === undefined) return
  const { cert, key } = listen.tls
  const read = (name: 'cert' | 'key', path: string) =>
    contentOf(folder, path, (why) => tell(['listen', 'tls', name], `listen.tls.${name}: ${why}`))
  const [certificate, privateKey] = [read('cert', cert), read('key', key)]
  if (certificate === undefined || privateKey === undefined) return
  try {
    createSecureContext({ cert: certificate, key: privateKey })
  } catch (error) {
    const isPair = (error as NodeJS.ErrnoException).code === 'ERR_OSSL_X509_KEY_VALUES_MISMATCH'
    const why = isPair
      ? 'is not the key of the certificate'
      : 'and listen.tls.cert are no key and certificate in PEM form'
    tell(['listen', 'tls', 'key'], `listen.tls.key ${why}.`)
  }
}

function contentOf(
  folder: string,
  path: string,
  refuse: (why: string) => void,
): string | undefined {
  try {
    return readFileSync(resolve(folder, path), 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const why =
      code === 'ENOENT'
        ? 'there is no such file'
        : code === 'EACCES'
          ? 'this user may not read it'
          : `it can't be read (${code})`
    refuse(`${JSON.stringify(path)}: ${why}.`)
    return undefined
  }
}

function checkAuth({ auth }: Config, { folder }: Given, tell: Tell): void {
  const seen = new Set<string>()
  for (const [index, issuer] of (auth?.issuers ?? []).entries()) {
    const path = ['auth', 'issuers', index]
    const name = `auth.issuers[${index}]`
    if (seen.has(issuer.issuer))
      tell([...path, 'issuer'], `${name}.issuer names an issuer a second time. Each stands once.`)
    seen.add(issuer.issuer)
    const { jwks, secret, algorithms } = issuer
    if ((jwks === undefined) === (secret === undefined)) {
      tell(
        path,
        `${name} takes exactly one of jwks and secret; it got ${jwks === undefined ? 'neither' : 'both'}.`,
      )
      continue
    }
    const unfit = algorithms.findIndex((one) => one.startsWith('HS') !== (secret !== undefined))
    if (unfit >= 0) {
      const fits =
        secret === undefined ? 'RS256, PS256, ES256 or EdDSA and the like' : 'HS256, HS384 or HS512'
      tell(
        [...path, 'algorithms', unfit],
        `${name}.algorithms has ${algorithms[unfit]}, which does not fit ${secret === undefined ? 'jwks' : 'secret'}. It takes ${fits}.`,
      )
    }
    if (secret !== undefined && Buffer.byteLength(secret) < 32) {
      tell(
        [...path, 'secret'],
        `${name}.secret takes 32 bytes or more; it got fewer. Make one with: openssl rand -base64 48`,
      )
    }
    if (jwks !== undefined)
      checkKeys(folder, jwks, (why) => tell([...path, 'jwks'], `${name}.jwks: ${why}`))
  }
}

function checkKeys(folder: string, jwks: string, refuse: (why: string) => void): void {
  if (/^https?:\/\//.test(jwks)) {
    if (!URL.canParse(jwks)) refuse(`${JSON.stringify(jwks)} is no address.`)
    return
  }
  const text = contentOf(folder, jwks, refuse)
  if (text === undefined) return
  try {
    const { keys } = JSON.parse(text) as { keys?: unknown }
    if (Array.isArray(keys) && keys.length > 0) return
    refuse(`${JSON.stringify(jwks)} has no keys. It takes {"keys": [...]}.`)
  } catch (error) {
    refuse(
      `${JSON.stringify(jwks)} is no JSON (${(error as Error).name}). It takes {"keys": [...]}.`,
    )
  }
}

function checkRules({ topics, auth }: Config, tell: Tell, warn: (warning: Warning) => void): void {
  const seen = new Map<string, number>()
  for (const [index, { match, subscribe }] of topics.entries()) {
    const path = ['topics', index, 'match']
    const name = `topics[${index}]`
    let claims: readonly string[]
    try {
      claims = compilePattern(match).claims
    } catch (error) {
      if (!(error instanceof PatternError)) throw error
      tell(path, `${name}.match: ${error.message}`)
      continue
    }
    const earlier = seen.get(match)
    if (earlier !== undefined)
      warn({
        path,
        message: `${name} never applies: topics[${earlier}] has the same match, and the first decides.`,
      })
    else if (seen.has('*'))
      warn({
        path,
        message: `${name} never applies: topics[${seen.get('*')}] matches every topic before it.`,
      })
    seen.set(match, earlier ?? index)
    if (claims.length > 0 && subscribe === 'anyone') {
      tell(
        [...path.slice(0, 2), 'subscribe'],
        `${name}: {${claims[0]}} is a claim of a token, and anyone has none. Write subscribe: owner.`,
      )
    }
    if (claims.length === 0 && subscribe === 'owner') {
      tell(
        [...path.slice(0, 2), 'subscribe'],
        `${name}: owner needs a claim in match, such as users.{sub}.*. Without one, write authenticated.`,
      )
    }
    if (auth === undefined && ['authenticated', 'owner', 'granted'].includes(subscribe)) {
      tell(
        [...path.slice(0, 2), 'subscribe'],
        `${name}: ${subscribe} needs tokens, and there is no auth. Add auth.issuers.`,
      )
    }
  }
}

function checkRuns({ runs, publish, control, workers = 1 }: Config, tell: Tell): void {
  if (runs === undefined) return
  if (publish === undefined && control === undefined) {
    tell(['runs'], 'runs: nobody could start one. Add publish.keys or control.keys.', 'key')
  }
  if (workers !== 1) {
    tell(
      ['runs'],
      'runs are kept by one process, and a reader may reach another one. Leave workers out.',
      'key',
    )
  }
  try {
    if (compilePattern(runs.match).claims.length === 0) return
    tell(['runs', 'match'], 'runs.match: names have no claims. Write * in the place of {…}.')
  } catch (error) {
    if (!(error instanceof PatternError)) throw error
    tell(['runs', 'match'], `runs.match: ${error.message}`)
  }
}

function checkPublish(
  { publish, broker }: Config,
  tell: Tell,
  warn: (warning: Warning) => void,
): void {
  if (publish === undefined) return
  const [name = 'memory'] = Object.keys(broker)
  if (!publishes(name)) {
    const message = `publish: the server can't publish to ${name}. Publish with a library of the broker's, and leave publish out.`
    tell(['publish'], message, 'key')
  }
  const check = (path: PropertyKey[], patterns: readonly string[] = []) => {
    for (const [index, pattern] of patterns.entries()) {
      const here = [...path, index]
      try {
        if (compilePattern(pattern).claims.length > 0)
          tell(here, `${pattern}: a publisher's key has no claims. Write * in the place of {…}.`)
      } catch (error) {
        if (!(error instanceof PatternError)) throw error
        tell(here, error.message)
      }
    }
  }
  check(['publish', 'topics'], publish.topics)
  const seen = new Set<string>()
  for (const [index, { key, topics }] of publish.keys.entries()) {
    const path = ['publish', 'keys', index]
    check([...path, 'topics'], topics)
    if (seen.has(key))
      tell(path, `publish.keys[${index}] is a key that stands there already. Each stands once.`)
    seen.add(key)
    if (/[^\x21-\x7e]/.test(key))
      tell(
        path,
        `publish.keys[${index}] has a space or a letter that no header can carry. It takes ASCII without spaces.`,
      )
    else if (key.length < 16)
      warn({
        path,
        message: `publish.keys[${index}] has fewer than 16 characters: it can be guessed. Make one with: openssl rand -hex 24`,
      })
  }
}
