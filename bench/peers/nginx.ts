import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { requireCommand } from '../../test/brokers/apt.js'
import { BrokerProcess, freePort } from '../../test/brokers/process.js'
import type { Contender } from '../contenders.js'
import { unifrost } from '../contenders.js'
import type { Running, Shape } from '../node-contender.js'
import { cpuOf } from './process-usage.js'

const PACKAGE = 'nginx-light'

/** One worker, and what docs and headers of unifrost ask of a proxy: HTTP/1.1, and no buffers. */
const configuration = (port: number, behind: number, folder: string) => `
  daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/errors;
  worker_rlimit_nofile 16384;
  events { worker_connections 8192; }
  http {
    access_log off;
    client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
    fastcgi_temp_path ${folder}/fastcgi; uwsgi_temp_path ${folder}/uwsgi;
    scgi_temp_path ${folder}/scgi;
    server {
      listen 127.0.0.1:${port} backlog=4096;
      location / {
        proxy_pass http://127.0.0.1:${behind};
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_buffering off;
        proxy_read_timeout 1h;
      }
    }
  }
`

/** unifrost behind nginx. nginx's own CPU is told beside the server's. */
export const behindNginx: Contender = {
  ...unifrost,
  name: 'unifrost, behind nginx',
  prepare: async () => void (await command()),
  start,
}

function command(): Promise<string> {
  return requireCommand('nginx', PACKAGE, 'leave the workload out with --only')
}

async function start(shape: Shape): Promise<Running> {
  const server = await unifrost.start(shape)
  const folder = await mkdtemp(join(tmpdir(), 'unifrost-nginx-'))
  const port = await freePort()
  const file = join(folder, 'nginx.conf')
  await writeFile(file, configuration(port, server.port, folder))
  let nginx: BrokerProcess
  try {
    const args = ['-c', file, '-p', folder]
    nginx = await BrokerProcess.start({ command: await command(), args, port })
  } catch (error) {
    await server.stop()
    throw error
  }
  let cpu = 0
  return {
    port,
    async publish(order) {
      cpu = await cpuOf(nginx.pid!)
      return server.publish(order)
    },
    usage: (collect) => server.usage(collect),
    mark: () => server.mark(),
    besides: async () => (await cpuOf(nginx.pid!)) - cpu,
    async stop() {
      await server.stop()
      await nginx.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
