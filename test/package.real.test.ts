/** @needs npm to install the packed package, Bun and Deno, Redis and PostgreSQL servers */
import { transformSync } from '@swc/core'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { startPostgres } from './brokers/postgres.js'
import { startRedis } from './brokers/redis.js'
import { whenEnding } from './support/ending.js'
import { openEvents } from './support/event-stream.js'
import { fromNpm } from './support/from-npm.js'
import { blocksOf } from './support/markdown.js'
import { until } from './support/until.js'

jest.setTimeout(300_000)

const root = join(__dirname, '..')
const run = promisify(execFile)

/** An empty folder in which somebody has installed the package and the frameworks. */
let folder: string
let tarball: string
let contents: string[]

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unifrost-package-'))
  await run('npm', ['pack', '--pack-destination', folder], { cwd: root })
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    name: string
    version: string
    devDependencies: Record<string, string>
  }
  tarball = join(folder, `${manifest.name}-${manifest.version}.tgz`)
  contents = (await run('tar', ['-tzf', tarball])).stdout.trim().split('\n').sort()
  await writeFile(join(folder, 'package.json'), '{ "name": "app", "private": true }\n')
  const others = ['express', 'koa', '@koa/router', '@types/express', '@types/koa', '@types/node']
  const wanted = others.map((name) => `${name}@${manifest.devDependencies[name]}`)
  await run('npm', ['install', '--no-audit', '--no-fund', tarball, ...wanted], { cwd: folder })
})

afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

test('what is packed is what a user needs, and no more', () => {
  expect(contents).toEqual(
    expect.arrayContaining([
      'package/CHANGELOG.md',
      'package/LICENSE',
      'package/README.md',
      'package/package.json',
      'package/dist/esm/src/index.js',
      'package/dist/cjs/src/index.js',
    ]),
  )
  const file =
    /^package\/((CHANGELOG|README)\.md|LICENSE|package\.json|dist\/(esm|cjs)\/(package\.json|(src|middleware)\/.+\.(js|d\.ts))|dist\/server\/(unifrost\.cjs|package\.json|LICENSES\.txt))$/
  expect(contents.filter((path) => !file.test(path))).toEqual([])
  expect(contents.filter((path) => /test\.|\.map$/.test(path))).toEqual([])
})

test('its manifest and its types are right for every way to import it', async () => {
  const check = join(__dirname, 'support/check-package.mjs')
  expect((await run(process.execPath, [check, tarball])).stdout).toBe('')
})

const drivers = ['nats', 'jetstream', 'rabbitmq', 'kafka', 'redis', 'redis-streams']
drivers.push('postgres', 'google-pubsub', 'sqs', 'azure-service-bus')
const entries = [
  ...['unifrost', 'unifrost/express', 'unifrost/koa', 'unifrost/fetch', 'unifrost/fastify'],
  ...drivers.map((name) => `unifrost/drivers/${name}`),
  ...['nats', 'redis'].map((name) => `unifrost/directories/${name}`),
  ...['client', 'client/fetch', 'metrics', 'runs', 'runs/redis', 'runs/resumable-stream'].map(
    (name) => `unifrost/${name}`,
  ),
  'unifrost/driver-kit',
]

test('an ES module and a CommonJS module see the same types', async () => {
  const use = `
import { Streamer, memoryDriver, type Driver } from 'unifrost'
import { unifrostExpress, jwt } from 'unifrost/express'
import { unifrostKoa } from 'unifrost/koa'
import * as fetching from 'unifrost/fetch'
import { natsDriver } from 'unifrost/drivers/nats'
import { Link, type LinkOptions } from 'unifrost/driver-kit'
import * as testing from 'unifrost/testing'
import { openStream } from 'unifrost/testing/app'
import { startWorkers } from 'unifrost/hub'
import express from 'express'
import Koa from 'koa'
const driver: Driver = memoryDriver()
const streamer: Streamer = new Streamer(driver, { clientTTL: 1 })
express().use('/events', unifrostExpress(streamer))
new Koa().use(unifrostKoa(streamer))
const nats: Driver = natsDriver('nats://localhost')
export const link = (options: LinkOptions<object>) => new Link(options)
export const made = [nats, testing, openStream, startWorkers, fetching, jwt({ secret: 'x'.repeat(32) })]
// @ts-expect-error an option that does not exist
new Streamer(driver, { clientTtl: 1 })
`
  await writeFile(join(folder, 'types.mts'), use)
  await writeFile(join(folder, 'types.cts'), use)
  await writeFile(join(folder, 'types.ts'), use)
  // No `skipLibCheck`, which is the compiler's default: our declarations are checked as well.
  expect(await complaints('nodenext', ['types.mts', 'types.cts'])).toEqual([])
  expect(await complaints('node16', ['types.mts', 'types.cts'])).toEqual([])
  expect(await complaints('bundler', ['types.ts'])).toEqual([])
  expect(await complaints('node10', ['types.ts'])).toEqual([])
})

test.each([
  ['5.0', ['node16', 'bundler']],
  ['6.0', ['nodenext']],
  ['7.0', ['nodenext', 'node16', 'bundler']],
])('the types are right for TypeScript %s, too', async (compiler, kinds) => {
  for (const kind of kinds) {
    const files = kind === 'bundler' ? ['types.ts'] : ['types.mts', 'types.cts']
    expect([kind, await complaints(kind, files, compiler)]).toEqual([kind, []])
  }
})

/** What the compiler says of the files and of our declarations. Those of others are not ours. */
async function complaints(
  resolution: string,
  files: string[],
  // The last one that has node10 without a word on its age.
  compiler = '5.9',
): Promise<string[]> {
  const kinds: Record<string, string[]> = {
    nodenext: ['--module', 'nodenext'],
    node16: ['--module', 'node16'],
    bundler: ['--module', 'esnext', '--moduleResolution', 'bundler'],
    node10: ['--module', 'commonjs', '--moduleResolution', 'node10', '--esModuleInterop'],
  }
  const compilers = await fromNpm(`typescript-${compiler}`, [`typescript@${compiler}`])
  const tsc = join(compilers, 'typescript/bin/tsc')
  const args = [...kinds[resolution]!, '--strict', '--noEmit', '--target', 'es2022']
  const { stdout } = await run(process.execPath, [tsc, ...args, '--types', 'node', ...files], {
    cwd: folder,
  }).catch((error: { stdout: string }) => error)
  return stdout.split('\n').filter((line) => /^(types\.|node_modules\/unifrost\/|error)/.test(line))
}

test.each(['mjs', 'cjs'])('every entry point loads from .%s without a warning', async (kind) => {
  // The suite needs no broker's library to be installed, and the driver loads its own when used.
  const names = [...entries, 'unifrost/testing', 'unifrost/testing/app', 'unifrost/hub']
  const lines =
    kind === 'mjs'
      ? [...names.map((name) => `await import('${name}')`), `const x = await import('${names[1]}')`]
      : [...names.map((name) => `require('${name}')`), `const x = require('${names[1]}')`]
  const token = `x.jwt({ secret: 'x'.repeat(32) })('a.b.c').catch((e) => console.log(e.code))`
  await writeFile(join(folder, `load.${kind}`), [...lines, token].join('\n'))
  const { stdout, stderr } = await run(process.execPath, [`load.${kind}`], { cwd: folder })
  expect({ stdout, stderr }).toEqual({ stdout: 'ERR_UNIFROST_UNAUTHENTICATED\n', stderr: '' })
})

test('a Jest with nothing configured, which is CommonJS, can log a user in', async () => {
  await writeFile(
    join(folder, 'plain.test.js'),
    `${entries.map((name) => `require('${name}')`).join('\n')}
    const { createHmac } = require('node:crypto')
    const { Streamer, memoryDriver } = require('unifrost')
    const { jwt } = require('unifrost/express')
    const secret = 'x'.repeat(32)
    const token = (claims) => {
      const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
      const signed = part({ alg: 'HS256' }) + '.' + part(claims)
      return signed + '.' + createHmac('sha256', secret).update(signed).digest('base64url')
    }
    test('a client', async () => {
      const streamer = new Streamer(memoryDriver())
      await streamer.newClient()
      expect(streamer.totalClients).toBe(1)
      await streamer.close()
    })
    test('a token that holds', async () => {
      expect(await jwt({ secret })(token({ sub: 'mary' }))).toMatchObject({ sub: 'mary' })
    })
    test('a token that is past, by a clock that the test moves', async () => {
      const exp = Math.floor(Date.now() / 1000) + 3600
      expect(await jwt({ secret })(token({ exp }))).toMatchObject({ exp })
      jest.useFakeTimers({ now: (exp + 60) * 1000 })
      await expect(jwt({ secret })(token({ exp }))).rejects.toThrow('The token has expired.')
      jest.useRealTimers()
    })`,
  )
  const jest = join(root, 'node_modules/jest/bin/jest.js')
  const { stderr } = await run(process.execPath, [jest, '--rootDir', folder], {
    cwd: folder,
  }).catch((error: { stderr: string }) => error)
  expect(stderr).toMatch(/Tests: +3 passed, 3 total/)
})

describe.each([
  ['bun', ['run']],
  ['deno', ['run', '-A']],
])('%s', (runtime, args) => {
  test('streams with unifrost/fetch, notices who leaves, and ends in order', async () => {
    const program = `
import { memoryDriver, Streamer } from 'unifrost'
import { autoClient, handler } from 'unifrost/fetch'
const driver = memoryDriver()
const streamer = new Streamer(driver)
const events = autoClient(streamer, { topics: ['news'] })(handler(streamer))
const answer = async (request) => {
  const { pathname } = new URL(request.url)
  if (pathname === '/events') return events(request)
  if (pathname === '/publish') driver.publish('news', 'one')
  if (pathname === '/close') setTimeout(() => streamer.close(), 0)
  return Response.json(streamer.stats())
}
const options = { port: 0, hostname: '127.0.0.1' }
const server = globalThis.Bun
  ? Bun.serve({ ...options, fetch: answer, idleTimeout: 0 })
  : Deno.serve({ ...options, onListen() {} }, answer).addr
console.log('listening on ' + server.port + '.')
`
    const path = join(folder, `${runtime}.mjs`)
    await writeFile(path, program)
    const command = join(await fromNpm('runtimes', ['bun', 'deno']), '.bin', runtime)
    const child = spawn(command, [...args, path], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const letGo = whenEnding(() => child.kill('SIGKILL'))
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text))
    const ended = once(child, 'close')
    const port = () => /listening on (\d+)\./.exec(output)?.[1]
    try {
      await until(
        `${runtime} to listen`,
        () => {
          if (child.exitCode !== null) throw new Error(output)
          return port() !== undefined
        },
        30_000,
      )
      const url = `http://127.0.0.1:${port()}`
      const counts = async (path: string) =>
        (await (await fetch(url + path)).json()) as { clients: number }
      const first = await openEvents(`${url}/events`)
      expect(first.status).toBe(200)
      await first.next('the first message', ({ event }) => event === 'message')
      await counts('/publish')
      await first.next('one', ({ data }) => data === 'one')
      first.drop()
      await until('nobody left', async () => (await counts('/')).clients === 0, 30_000)
      const second = await openEvents(`${url}/events`)
      await second.next('the first message', ({ event }) => event === 'message')
      await counts('/close')
      await second.end()
      expect(second.events.at(-1)?.data).toBe('Client closed')
    } finally {
      child.kill('SIGTERM')
      await ended
      letGo()
    }
  })
})

describe('the first lines of the docs', () => {
  const pages = { express: 'README.md', koa: 'docs/library.md' }

  describe.each(['express', 'koa'] as const)('%s', (name) => {
    const block = blocksOf(join(root, pages[name])).find(({ marks }) => marks.run === name)

    test('are there', () => {
      // The block to run is the one below this comment.
      expect(block === undefined ? `<!-- run: ${name} -->` : 'found').toBe('found')
    })

    test.each([
      ['ES module', 'mjs', 'es6'],
      ['CommonJS', 'cjs', 'commonjs'],
    ] as const)('run as %s', async (_, extension, type) => {
      const file = `${name}.${extension}`
      const { code } = transformSync(block!.code, {
        swcrc: false,
        module: { type },
        jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
      })
      await writeFile(join(folder, file), code)
      expect(await firstEvent(file)).toContain('"client_id"')
    })
  })
})

// The last of these, since they install the brokers' libraries that the others do without.
test('a driver that is written by docs/drivers/write-your-own.md passes the contract', async () => {
  await install('pg')
  const page = blocksOf(join(root, 'docs/drivers/write-your-own.md'))
  const program = ['channel', 'session', 'driver', 'contract'].map((name) => {
    const block = page.find(({ marks }) => marks.as === name)
    return block === undefined ? `There is no <!-- as: ${name} -->` : block.code
  })
  await writeFile(join(folder, 'contract.mjs'), asModule(program.join('\n')))
  const postgres = await startPostgres()
  try {
    const env = { ...process.env, DATABASE_URL: postgres.adminUrl }
    const { stdout } = await run(process.execPath, ['--test-reporter=tap', 'contract.mjs'], {
      cwd: folder,
      env,
    }).catch((error: { stdout: string }) => error)
    expect(stdout.split('\n').filter((line) => line.includes('not ok'))).toEqual([])
    expect(Number(/^# pass (\d+)$/m.exec(stdout)?.[1])).toBeGreaterThan(15)
  } finally {
    await postgres.stop()
  }
})

test('examples/cluster.ts runs on it: several processes that look like one server', async () => {
  await install('redis', '@nats-io/transport-node', '@nats-io/jetstream')
  await mkdir(join(folder, 'cluster/scale'), { recursive: true })
  await writeFile(join(folder, 'cluster/package.json'), '{ "type": "module" }')
  for (const file of ['cluster', 'scale/app', 'scale/engine', 'scale/processes', 'scale/server']) {
    const source = await readFile(join(root, 'examples', `${file}.ts`), 'utf8')
    await writeFile(join(folder, 'cluster', `${file}.js`), asModule(source))
  }
  const redis = await startRedis()
  const env = { REDIS_URL: redis.adminUrl, SERVERS: '2' }
  try {
    expect(await firstEvent('cluster/cluster.js', env, 'clock')).toContain('"client_id"')
  } finally {
    await redis.stop()
  }
})

/** Installs libraries in the versions that this repo has. */
async function install(...libraries: string[]): Promise<void> {
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    devDependencies: Record<string, string>
  }
  const wanted = libraries.map((name) => `${name}@${manifest.devDependencies[name]}`)
  await run('npm', ['install', '--no-audit', '--no-fund', ...wanted], { cwd: folder })
}

/** TypeScript as an ES module for Node. */
function asModule(source: string): string {
  return transformSync(source, {
    swcrc: false,
    module: { type: 'es6' },
    jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
  }).code
}

/** Starts the file on a free port and gives what its event stream says first. */
async function firstEvent(
  file: string,
  env: Record<string, string> = {},
  topic = 'news',
): Promise<string> {
  const port = await freePort()
  const server = spawn(process.execPath, [file], {
    cwd: folder,
    env: { ...process.env, PORT: String(port), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exited = once(server, 'exit')
  let said = ''
  server.stdout.on('data', (chunk) => (said += String(chunk)))
  server.stderr.on('data', (chunk) => (said += String(chunk)))
  try {
    let answer: Response | undefined
    await until(`${file} to answer`, async () => {
      if (server.exitCode !== null) throw new Error(`${file} ended:\n${said}`)
      answer = await fetch(`http://127.0.0.1:${port}/events?topic=${topic}`).catch(() => undefined)
      return answer !== undefined
    })
    const response = answer!
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/)
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    while (!text.includes('\n\n')) {
      const { value, done } = await reader.read()
      if (done) break
      text += value
    }
    await reader.cancel()
    expect(said.replaceAll(/^Listening on .*\n/gm, '')).toBe('')
    return text
  } finally {
    server.kill()
    await exited
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
