import { writeFile } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { freePort } from '../../test/brokers/process.js'
import type { Contender } from '../contenders.js'
import type { Approach } from '../load-client.js'
import type { Running, Shape } from '../node-contender.js'
import { CACHE } from '../places.js'
import { goProgram } from './go.js'
import { Peer } from './peer.js'

const MODULE = 'github.com/centrifugal/centrifugo/v6'
const VERSION = 'v6.9.1'
const CONNECT = '{"subs":{"topic0":{}}}'

/** Anybody may have the topic; nothing is logged; no queue of a client is ever too long. */
const CONFIGURATION = {
  log: { level: 'none' },
  client: {
    allow_anonymous_connect_without_token: true,
    allowed_origins: ['*'],
    queue_max_size: 2 ** 30,
  },
  channel: {
    without_namespace: { allow_subscribe_for_client: true, allow_subscribe_for_anonymous: true },
  },
  http_api: { insecure: true },
  uni_sse: { enabled: true },
  uni_websocket: { enabled: true, join_push_messages: true },
}

export const centrifugoSse = centrifugo('SSE', 'SSE (`uni_sse`)', {
  protocol: 'sse',
  path: `/connection/uni_sse?cf_connect=${encodeURIComponent(CONNECT).replaceAll('%', '%%')}`,
})

export const centrifugoWebSocket = centrifugo(
  'WebSocket',
  'WebSocket (`uni_websocket`, messages joined, no compression)',
  {
    protocol: 'websocket',
    path: '/connection/uni_websocket',
    greetings: [CONNECT, ''],
    within: '"pub":',
  },
)

export const VERSIONS = { centrifugo: VERSION.slice(1) }

function centrifugo(over: string, how: string, approach: Approach): Contender {
  return {
    name: `Centrifugo, ${over}`,
    what: `over ${how}, batches through its HTTP API, queues without a bound, no log`,
    approach,
    prepare: async () => void (await goProgram(MODULE, VERSION)),
    start,
  }
}

async function start({ clients }: Shape): Promise<Running> {
  const binary = await goProgram(MODULE, VERSION)
  const port = await freePort()
  const file = join(CACHE, 'centrifugo.json')
  const address = { address: '127.0.0.1', port }
  await writeFile(file, JSON.stringify({ ...CONFIGURATION, http_server: address }))
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  return Peer.start(binary, ['-c', file], port, clients, async (payloads) => {
    const commands = payloads.map((data) => ({ publish: { channel: 'topic0', data } }))
    await post(agent, port, '/api/batch', JSON.stringify({ commands }))
  })
}

function post(agent: Agent, port: number, path: string, body: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { 'Content-Type': 'application/json', 'Content-Length': body.length }
    const asked = request({ agent, port, path, method: 'POST', headers, host: '127.0.0.1' })
    asked.on('error', reject)
    asked.on('response', (response) => {
      response.resume()
      response.on('error', reject)
      response.on('end', () => {
        if (response.statusCode === 200) resolve()
        else reject(new Error(`${path} answered ${response.statusCode}`))
      })
    })
    asked.end(body)
  })
}
