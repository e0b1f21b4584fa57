// Starts three server processes behind HAProxy or nginx.
//
//   redis-server & REDIS_URL=redis://localhost:6379 npx tsx examples/scale/run.ts
//   curl -N 'localhost:8080/events?topic=clock&topic=dice'
//
// Set NATS_URL instead for `nats-server --jetstream`, and BALANCER=nginx for nginx. End any of the
// three by SIGTERM or SIGKILL: its streams go on with the others.
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { engineUrl, publishTicks } from './engine.js'

engineUrl()
const { BALANCER = 'haproxy', PORT = '8080' } = process.env
const file = (name: string) => fileURLToPath(new URL(name, import.meta.url))
const folder = await mkdtemp(join(tmpdir(), 'unifrost-scale-'))

/** Starts a server on a free port. @returns the process and its address */
async function startServer(name: string): Promise<[ChildProcess, string]> {
  const server = spawn(process.execPath, [...process.execArgv, file('server.ts')], {
    env: { ...process.env, NAME: name, PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  for await (const text of server.stdout) {
    const port = /http:\/\/localhost:(\d+)/.exec(String(text))?.[1]
    if (port === undefined) continue
    server.stdout.resume()
    console.log(`${name} is process ${server.pid}, on port ${port}.`)
    return [server, `127.0.0.1:${port}`]
  }
  throw new Error(`${name} ended before it listened.`)
}

async function startBalancer(listen: string, servers: readonly string[]): Promise<ChildProcess> {
  const env: Record<string, string> = { LISTEN: listen }
  for (const [index, server] of servers.entries()) env[`SERVER_${index + 1}`] = server
  let command = ['haproxy', '-db', '-f', file('haproxy.cfg')]
  if (BALANCER === 'nginx') {
    const template = await readFile(file('nginx.conf.template'), 'utf8')
    const text = template.replace(/\$\{(\w+)\}/g, (all, name: string) => env[name] ?? all)
    await writeFile(join(folder, 'nginx.conf'), text)
    command = ['nginx', '-c', join(folder, 'nginx.conf'), '-p', folder]
  }
  // Debian installs them here, which is not in a user's PATH.
  const PATH = `${process.env.PATH}:/usr/sbin`
  const balancer = spawn(command[0]!, command.slice(1), {
    env: { ...process.env, ...env, PATH },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  balancer.once('error', () => {
    console.error(`${BALANCER} is not installed. Install it, or say BALANCER=haproxy or nginx.`)
    process.exit(1)
  })
  return balancer
}

/** The given port, or a free one for 0. */
async function portFor(wanted: number): Promise<number> {
  const probe = createServer().listen(wanted, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as { port: number }
  probe.close()
  await once(probe, 'close')
  return port
}

const stopTicks = await publishTicks()
const servers = await Promise.all(['s1', 's2', 's3'].map(startServer))
const port = await portFor(Number(PORT))
const balancer = await startBalancer(
  `127.0.0.1:${port}`,
  servers.map(([, address]) => address),
)
while (!(await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined))?.ok) {
  await new Promise((resolve) => setTimeout(resolve, 50))
}
console.log(`Listening on http://localhost:${port}`)

process.once('SIGTERM', async () => {
  const ended = servers.map(async ([server]) => {
    if (server.exitCode !== null || server.signalCode !== null) return
    server.kill('SIGTERM')
    await once(server, 'exit')
  })
  await Promise.all(ended)
  balancer.kill('SIGTERM')
  await stopTicks()
  await rm(folder, { recursive: true, force: true })
})
