import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { Agent, createServer, request } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { BrokerProcess, freePort } from './process.js'

/** An endpoint of SNS and SQS that is running already and is used instead of one of ours. */
export const RUNNING_SQS = process.env['UNIFROST_TEST_SQS']

export const REGION = 'us-east-1'
export const ACCOUNT = '000000000000'

/** Credentials that are refused; all others are taken. */
export const WRONG = { accessKeyId: 'wrong', secretAccessKey: 'wrong' }
export const CREDENTIALS = { accessKeyId: 'test', secretAccessKey: 'test' }

/** Topics whose names have this in them may not be subscribed to. */
export const DENIED = 'denied'

/**
 * fauxqs, which stands in for SNS and SQS: AWS has no server to install. It keeps nothing over a
 * restart, so its topics, which would last in AWS, are made anew from a file. It listens on all
 * interfaces, whatever it is told.
 */
export interface SqsServer {
  /** Where it may be reached through a gate that refuses as AWS does. */
  readonly port: number
  /** Past the gate. */
  readonly endpoint: string
  readonly process: BrokerProcess
  /** The topics that it starts with. */
  readonly topics: Set<string>
  restart(): Promise<void>
  stop(): Promise<void>
}

export async function startSqs(): Promise<SqsServer> {
  const port = await freePort()
  const folder = await mkdtemp(join(tmpdir(), 'unifrost-sqs-'))
  const init = join(folder, 'init.json')
  const topics = new Set<string>()
  const save = () =>
    writeFile(init, JSON.stringify({ topics: [...topics].map((name) => ({ name })) }))
  await save()
  const cli = resolve('node_modules/fauxqs/dist/cli.js')
  const broker = await BrokerProcess.start({
    command: process.execPath,
    args: [cli],
    port,
    env: { FAUXQS_PORT: String(port), FAUXQS_LOGGER: 'false', FAUXQS_INIT: init },
  })
  const gate = await openGate(port)
  return {
    port: gate.port,
    endpoint: `http://127.0.0.1:${port}`,
    process: broker,
    topics,
    async restart() {
      await broker.kill()
      // What was asked for until then lasts, as it would in AWS.
      await save()
      await broker.start()
    },
    async stop() {
      await gate.close()
      await broker.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** fauxqs knows no permissions: what AWS would refuse is refused on the way. */
async function openGate(target: number) {
  const agent = new Agent({ keepAlive: true })
  const server = createServer((incoming, outgoing) => {
    void pass(incoming, outgoing).catch(() => outgoing.destroy())
  })

  async function pass(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk as Buffer)
    const body = Buffer.concat(chunks)
    const refusal = refusalOf(incoming, body)
    if (refusal) {
      outgoing.writeHead(403, refusal.headers).end(refusal.body)
      return
    }
    const { method, url, headers } = incoming
    const onward = request({ host: '127.0.0.1', port: target, method, path: url, headers, agent })
    onward.on('error', () => outgoing.destroy())
    onward.on('response', (response) => {
      outgoing.writeHead(response.statusCode ?? 500, response.headers)
      response.on('error', () => outgoing.destroy())
      response.pipe(outgoing)
    })
    onward.end(body)
  }

  // As AWS does, it leaves it to the clients to close what they need no more.
  server.keepAliveTimeout = 60_000
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      agent.destroy()
      await closed
    },
  }
}

function refusalOf({ headers }: IncomingMessage, body: Buffer) {
  const isSqs = headers['content-type']?.includes('json') ?? false
  if (headers.authorization?.includes(`Credential=${WRONG.accessKeyId}/`)) {
    const message = 'The security token included in the request is invalid.'
    return refused(isSqs, isSqs ? 'UnrecognizedClientException' : 'InvalidClientTokenId', message)
  }
  const fields = new URLSearchParams(isSqs ? '' : body.toString())
  const topic = fields.get('TopicArn') ?? ''
  if (fields.get('Action') === 'Subscribe' && topic.includes(DENIED)) {
    const message = `User is not authorized to perform: SNS:Subscribe on resource: ${topic}`
    return refused(isSqs, 'AuthorizationError', message)
  }
  return undefined
}

function refused(isSqs: boolean, code: string, message: string) {
  return isSqs
    ? {
        headers: { 'content-type': 'application/x-amz-json-1.0' },
        body: JSON.stringify({ __type: `com.amazonaws.sqs#${code}`, message }),
      }
    : {
        headers: { 'content-type': 'text/xml' },
        body:
          '<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error>' +
          `<Type>Sender</Type><Code>${code}</Code><Message>${message}</Message>` +
          '</Error><RequestId>0</RequestId></ErrorResponse>',
      }
}
