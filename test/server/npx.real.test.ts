/** @needs npm to install the packed package, and a Redis server */
import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { startRedis } from '../brokers/redis.js'
import { openEvents } from '../support/event-stream.js'
import { until } from '../support/until.js'
import { KEY } from './serving.js'

jest.setTimeout(180_000)

const run = promisify(execFile)
const root = join(__dirname, '../..')
let folder: string
const started: ChildProcess[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unifrost-npx-'))
  const { stdout } = await run('npm', ['pack', '--pack-destination', folder, '--json'], {
    cwd: root,
  })
  const [{ filename }] = JSON.parse(stdout.slice(stdout.indexOf('['))) as [{ filename: string }]
  await writeFile(join(folder, 'package.json'), '{ "private": true }')
  const quiet = ['--no-audit', '--no-fund', '--omit=optional']
  await run('npm', ['install', ...quiet, join(folder, filename)], { cwd: folder })
})

afterEach(async () => {
  const left = started
    .splice(0)
    .filter((child) => child.exitCode === null && child.signalCode === null)
  await Promise.all(left.map((child) => (child.kill('SIGKILL'), once(child, 'exit'))))
})

afterAll(() => rm(folder, { recursive: true, force: true }))

/** Starts the server by npx. Its lines come as they are logged. */
function unifrost(args: string[], env: Record<string, string> = {}) {
  const child = spawn(join(folder, 'node_modules/.bin/unifrost'), args, {
    cwd: folder,
    env: { ...process.env, ...env },
  })
  started.push(child)
  const lines: any[] = []
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text
    for (const line of text.split('\n').filter((it) => it.startsWith('{')))
      lines.push(JSON.parse(line))
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  const serving = () =>
    until(
      'the server to serve',
      () => {
        if (child.exitCode !== null) throw new Error(`It ended: ${said}`)
        return lines.find(({ msg }) => msg === 'Serving.')?.address as string
      },
      60_000,
    )
  const logged = (text: string) => until(text, () => lines.some(({ msg }) => msg === text), 30_000)
  const ended = async () => (child.exitCode === null ? once(child, 'exit') : [child.exitCode])
  return { child, lines, serving, logged, ended, said: () => said }
}

const publish = (address: string, body: unknown, key = KEY) =>
  fetch(`${address}/publish`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
    body: JSON.stringify(body),
  })

async function watch(address: string, topic: string) {
  const stream = await openEvents(`${address}/events?topic=${topic}`)
  await stream.next('the first message', ({ event }) => event === 'message')
  return stream
}

test('npx unifrost serves an event without a file, and leaves at SIGTERM', async () => {
  const { stdout } = await run('npx', ['--no-install', 'unifrost', '--version'], { cwd: folder })
  expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
  const server = unifrost(['--port', '0'])
  const address = await server.serving()
  const stream = await watch(address, 'news')
  expect((await publish(address, { topic: 'news', data: 'hello' })).status).toBe(200)
  expect((await stream.next('news', ({ event }) => event === 'news')).data).toBe('hello')
  expect(server.said()).toContain('for this machine only')
  server.child.kill('SIGTERM')
  await stream.end()
  expect(await server.ended()).toEqual([0, null])
})

test('who wants the library alone gets two packages beside it', async () => {
  expect(
    (await readdir(join(folder, 'node_modules'))).filter((it) => !it.startsWith('.')).sort(),
  ).toEqual(['cookie', 'jose', 'unifrost'])
  const server = join(folder, 'node_modules/unifrost/dist/server')
  expect((await stat(join(server, 'unifrost.cjs'))).size).toBeLessThan(2_000_000)
  const licences = await readFile(join(server, 'LICENSES.txt'), 'utf8')
  for (const name of ['yaml', 'zod', 'pino'])
    expect(licences).toMatch(new RegExp(`^${name} \\d`, 'm'))
})

test('init writes a file that check takes, and token signs for it', async () => {
  const command = (...args: string[]) =>
    run(join(folder, 'node_modules/.bin/unifrost'), args, { cwd: folder })
  await command('init', '--yes', '--output', 'first.yaml')
  expect((await command('check', 'first.yaml')).stdout).toContain('is right')
  expect((await command('token', '--sub', 'ann', '-c', 'first.yaml')).stdout).toMatch(
    /^ey[\w.-]+\n$/,
  )
  expect((await command('config', '--effective', '-c', 'first.yaml')).stdout).toContain('(hidden)')
  JSON.parse((await command('schema')).stdout)
  await writeFile(join(folder, 'wrong.yaml'), 'lisen: {}')
  const failed = (await command('check', 'wrong.yaml').catch((error: unknown) => error)) as any
  expect([failed.code, failed.stderr]).toEqual([
    1,
    expect.stringContaining('wrong.yaml:1:1: lisen'),
  ])
})

const file = (more: string, rules = 'news') =>
  `listen: { host: 127.0.0.1, port: 0 }\ndrain: { over: 100ms }\npublish: { keys: [${KEY}] }\n` +
  `topics: [${rules
    .split(' ')
    .map((name) => `{ match: ${name}, subscribe: anyone }`)
    .join(', ')}]\n${more}\n`

test('a file that changes takes effect under open streams, and a wrong one does not', async () => {
  const path = join(folder, 'live.yaml')
  await writeFile(path, file(''))
  const server = unifrost(['--config', 'live.yaml'])
  const address = await server.serving()
  const streams = await Promise.all(Array.from({ length: 100 }, () => watch(address, 'news')))
  await writeFile(path, 'topics: nonsense')
  await server.logged('The file was not taken over: nothing has changed.')
  await writeFile(path, file('', 'news more'))
  await server.logged('The file was read again and is in effect.')
  await watch(address, 'more')
  await writeFile(path, file('').replace(KEY, 'another-key-of-24-chars!'))
  server.child.kill('SIGHUP')
  await until(
    'the new key',
    async () => (await publish(address, { topic: 'news', data: 'x' })).status === 401,
  )
  await publish(address, { topic: 'news', data: 'to all' }, 'another-key-of-24-chars!')
  for (const stream of streams) await stream.next('news', ({ data }) => data === 'to all')
  expect(streams.filter(({ ended }) => ended)).toEqual([])
  server.child.kill('SIGTERM')
  expect(await server.ended()).toEqual([0, null])
})

test('workers share a port and a broker, and one that is killed is replaced', async () => {
  await writeFile(join(folder, 'workers.yaml'), file('workers: 2\nadmin: { port: 0 }'))
  const server = unifrost(['--config', 'workers.yaml'])
  const address = await server.serving()
  const streams = await Promise.all(Array.from({ length: 6 }, () => watch(address, 'news')))
  expect((await publish(address, { topic: 'news', data: 'one' })).status).toBe(200)
  for (const stream of streams) await stream.next('news', ({ data }) => data === 'one')

  const children = async () => {
    const { stdout } = await run('ps', ['--ppid', String(server.child.pid), '-o', 'pid=,args='])
    return stdout
      .trim()
      .split('\n')
      .map((line) => Number(line.trim().split(' ')[0]))
  }
  const before = await children()
  expect(before).toHaveLength(3)
  // The hub was started first.
  process.kill(Math.max(...before), 'SIGKILL')
  await until(
    'another worker',
    async () => {
      const now = await children().catch(() => [])
      return now.length === 3 && now.some((pid) => !before.includes(pid))
    },
    30_000,
  )
  const again = await watch(address, 'news')
  expect((await publish(address, { topic: 'news', data: 'two' })).status).toBe(200)
  await again.next('news', ({ data }) => data === 'two')
  server.child.kill('SIGTERM')
  await Promise.all(streams.map((stream) => stream.end()))
  expect(await server.ended()).toEqual([0, null])
})

test('it says which library a broker needs, and carries Redis with it', async () => {
  const redis = await startRedis()
  try {
    await writeFile(
      join(folder, 'redis.yaml'),
      file(`broker: { redis: { url: '${redis.adminUrl}' } }`),
    )
    const bin = join(folder, 'node_modules/.bin/unifrost')
    const online = (await run(bin, ['check', '--online', 'redis.yaml'], { cwd: folder }).catch(
      (error: unknown) => error,
    )) as any
    expect([online.code, online.stderr]).toEqual([1, expect.stringContaining('npm install redis')])
    const { devDependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
    await run('npm', ['install', '--no-audit', '--no-fund', `ioredis@${devDependencies.ioredis}`], {
      cwd: folder,
    })
    expect((await run(bin, ['check', '--online', 'redis.yaml'], { cwd: folder })).stdout).toContain(
      'reached',
    )
    const server = unifrost(['--config', 'redis.yaml'])
    const address = await server.serving()
    const stream = await watch(address, 'news')
    expect((await publish(address, { topic: 'news', data: 'by Redis' })).status).toBe(200)
    expect((await stream.next('news', ({ event }) => event === 'news')).data).toBe('by Redis')
    server.child.kill('SIGTERM')
    expect(await server.ended()).toEqual([0, null])
  } finally {
    await redis.stop()
  }
})
