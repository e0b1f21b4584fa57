/** @needs HAProxy, nginx, Caddy, promtool, Python, Go and Java */
import type { ChildProcess } from 'node:child_process'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import type { Server } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { EventSource } from 'eventsource'
import type { MemoryDriver } from 'unifrost'
import { memoryDriver, Streamer } from 'unifrost'
import { autoClient, unifrostExpress } from 'unifrost/express'
import { requireCommand } from './brokers/apt.js'
import { BrokerProcess, freePort } from './brokers/process.js'
import { until } from './support/until.js'

// Go compiles its HTTP client first, which takes minutes on a machine that does more.
jest.setTimeout(300_000)

const run = promisify(execFile)
const root = join(__dirname, '..')
const deploy = join(root, 'examples/deploy')

describe('what the docs show of other programs', () => {
  let folder: string
  let driver: MemoryDriver
  let streamer: Streamer
  let server: Server
  let port: number

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'unifrost-operations-'))
    driver = memoryDriver()
    streamer = new Streamer(driver, { retry: { min: 100, max: 200 } })
    const auto = autoClient(streamer, { topics: ['news'] })
    const stream = unifrostExpress(streamer)
    server = createServer((request, response) =>
      auto(request, response, () => stream(request, response)),
    )
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    port = (server.address() as AddressInfo).port
  })

  afterEach(async () => {
    await streamer.shutdown(server)
    await rm(folder, { recursive: true, force: true })
  })

  const proxies = {
    nginx: {
      pkg: 'nginx',
      file: 'nginx.conf',
      args: (it: string) => ['-c', it, '-p', folder, '-g', 'daemon off;'],
    },
    haproxy: { pkg: 'haproxy', file: 'haproxy.cfg', args: (it: string) => ['-db', '-f', it] },
    caddy: {
      pkg: 'caddy',
      file: 'Caddyfile',
      args: (it: string) => ['run', '--adapter', 'caddyfile', '--config', it],
    },
  }

  test.each(Object.entries(proxies))(
    '%s passes each event on at once, and a page resumes through it',
    async (name, { pkg, file, args }) => {
      const command = await requireCommand(name, pkg, 'leave this test out')
      const front = await freePort()
      const config = join(folder, file)
      const text = await readFile(join(deploy, file), 'utf8')
      await writeFile(
        config,
        text.replaceAll('3000', String(port)).replaceAll('8080', String(front)),
      )
      const env = { ...process.env, HOME: folder } as Record<string, string>
      const proxy = await BrokerProcess.start({
        command,
        args: args(config),
        port: front,
        env,
        group: true,
      })
      const events = new EventSource(`http://127.0.0.1:${front}/events`)
      try {
        const got: string[] = []
        events.addEventListener('news', ({ data }) => got.push(String(data)))
        await until('the stream', () => streamer.stats().connections === 1, 20_000)
        driver.publish('news', 'one')
        await until('the first event', () => got.length === 1, 20_000)
        await streamer.reconnect()
        driver.publish('news', 'two')
        await until('the second event', () => got.length === 2, 20_000)
        expect(got).toEqual(['one', 'two'])
        expect(streamer.stats().resumes.exact).toBe(1)
      } finally {
        events.close()
        await proxy.stop()
      }
    },
  )

  const programs = {
    Python: async () => [await requireCommand('python3', 'python3', 'leave this out'), 'client.py'],
    Go: async () => [await requireCommand('go', 'golang-go', 'leave this out'), 'run', 'client.go'],
    Java: async () => [
      await requireCommand('java', 'default-jdk-headless', 'leave this out'),
      'Client.java',
    ],
  }

  test.each(Object.entries(programs))(
    'the client in %s gets what it missed',
    async (_name, find) => {
      const [command = '', ...args] = await find()
      const child: ChildProcess = spawn(command, [...args, `http://127.0.0.1:${port}/events`], {
        cwd: join(root, 'examples/clients'),
        detached: true,
      })
      let output = ''
      child.stdout!.on('data', (chunk: Buffer) => (output += String(chunk)))
      child.stderr!.on('data', (chunk: Buffer) => (output += String(chunk)))
      const gone = once(child, 'close')
      try {
        await until('the stream', () => streamer.stats().connections === 1, 240_000)
        driver.publish('news', 'one')
        await until('the first event', () => output.includes('news one'), 20_000)
        await streamer.reconnect()
        driver.publish('news', 'two')
        await until('the second event', () => output.includes('news two'), 30_000)
        expect(output.match(/news \w+/g)).toEqual(['news one', 'news two'])
        expect(streamer.stats().resumes.exact).toBe(1)
      } finally {
        process.kill(-child.pid!, 'SIGKILL')
        await gone
      }
    },
  )

  test('promtool takes the alerts, and they fire when they should', async () => {
    const promtool = await requireCommand('promtool', 'prometheus', 'leave this test out')
    const rules = join(root, 'docs/operations')
    const { stdout } = await run(promtool, ['check', 'rules', join(rules, 'alerts.yml')])
    expect(stdout).toContain('SUCCESS')
    expect(
      (await run(promtool, ['test', 'rules', join(rules, 'alerts.test.yml')])).stdout,
    ).toContain('SUCCESS')
  })

  test('promtool takes what is scraped', async () => {
    const promtool = await requireCommand('promtool', 'prometheus', 'leave this test out')
    const { metrics } = await import('unifrost/metrics')
    const { text, close } = await metrics(streamer)
    const scraped = await text()
    close()
    const child = spawn(promtool, ['check', 'metrics'])
    let said = ''
    child.stdout.on('data', (chunk: Buffer) => (said += String(chunk)))
    child.stderr.on('data', (chunk: Buffer) => (said += String(chunk)))
    child.stdin.end(scraped)
    const [code] = (await once(child, 'close')) as [number]
    expect([code, said]).toEqual([0, ''])
  })
})
