import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { requireCommand } from '../brokers/apt.js'
import { BrokerProcess, freePort } from '../brokers/process.js'

const scale = join(__dirname, '../../examples/scale')

/**
 * Starts a load balancer with the configuration that users are given, in front of three servers.
 *
 * @param ports The servers' ports on 127.0.0.1.
 */
export async function startBalancer(
  kind: 'haproxy' | 'nginx',
  ports: readonly [number, number, number],
): Promise<{ port: number; stop(): Promise<void> }> {
  const command = await requireCommand(kind, kind, 'leave this test out')
  const port = await freePort()
  const env: Record<string, string> = { LISTEN: `127.0.0.1:${port}` }
  for (const [index, server] of ports.entries()) env[`SERVER_${index + 1}`] = `127.0.0.1:${server}`
  const folder = await mkdtemp(join(tmpdir(), `unifrost-${kind}-`))
  const config = join(folder, 'nginx.conf')
  if (kind === 'nginx') {
    // nginx knows no variables of the environment, so they are put in for it.
    const template = await readFile(join(scale, 'nginx.conf.template'), 'utf8')
    const fill = (all: string, name: string) => env[name] ?? all
    await writeFile(config, template.replace(/\$\{(\w+)\}/g, fill))
  }
  const args =
    kind === 'haproxy' ? ['-db', '-f', join(scale, 'haproxy.cfg')] : ['-c', config, '-p', folder]
  const balancer = await BrokerProcess.start({ command, args, port, env, group: true })
  return {
    port,
    async stop() {
      await balancer.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
