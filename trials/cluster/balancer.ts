import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { requireCommand } from '../../test/brokers/apt.js'
import { BrokerProcess, freePort } from '../../test/brokers/process.js'

export type BalancerKind = 'haproxy' | 'nginx'

/** A load balancer in front of the servers, with the configuration that users are given. */
export interface Balancer {
  readonly kind: BalancerKind
  readonly port: number
  readonly process: BrokerProcess
  stop(): Promise<void>
}

const scale = new URL('../../examples/scale/', import.meta.url)

/** @param servers host:port of each of the three. */
export async function startBalancer(
  kind: BalancerKind,
  servers: readonly string[],
): Promise<Balancer> {
  const instead = 'run the rows of the other balancer only, with --balancer'
  const command = await requireCommand(kind, kind, instead)
  const port = await freePort()
  const env: Record<string, string> = { LISTEN: `127.0.0.1:${port}` }
  for (const [index, server] of servers.entries()) env[`SERVER_${index + 1}`] = server
  const folder = await mkdtemp(join(tmpdir(), `unifrost-${kind}-`))
  const args =
    kind === 'haproxy'
      ? ['-db', '-f', fileURLToPath(new URL('haproxy.cfg', scale))]
      : ['-c', await nginxConfig(folder, env), '-p', folder]
  const balancer = await BrokerProcess.start({ command, args, port, env, group: true })
  return {
    kind,
    port,
    process: balancer,
    async stop() {
      await balancer.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** nginx knows no variables of the environment, so they are put in for it. */
async function nginxConfig(folder: string, env: Record<string, string>): Promise<string> {
  const template = await readFile(new URL('nginx.conf.template', scale), 'utf8')
  const text = template.replace(/\$\{(\w+)\}/g, (all, name: string) => env[name] ?? all)
  const path = join(folder, 'nginx.conf')
  await writeFile(path, text)
  return path
}
