import type { SNSClient } from '@aws-sdk/client-sns'
import type { SQSClient } from '@aws-sdk/client-sqs'
import { loadPeer, whenAbsent, reasonOf } from '../../driver-kit/index.js'

/** Clients of the user's, which are used as they are and never destroyed. */
export interface AwsClients {
  sqs: SQSClient
  /** Needed for topics; queues are read without it. */
  sns?: SNSClient
}

/** What the driver's own clients are made with: whatever the SDK knows may stand here. */
export interface AwsConfig {
  region?: string
  endpoint?: string
  credentials?: { accessKeyId: string; secretAccessKey: string; sessionToken?: string }
  [option: string]: unknown
}

/** The SDK's libraries, each loaded when it is needed. */
export interface Libraries {
  sqs: typeof import('@aws-sdk/client-sqs')
  sns: typeof import('@aws-sdk/client-sns')
}

/** A driver's SNS calls at once. The SDK warns of twice as many in wait as there are connections. */
export const SNS_CALLS_AT_ONCE = 40
const SNS_CONNECTIONS = 20

export async function loadLibraries(): Promise<Libraries> {
  const load = <T>(peer: string, from: () => Promise<T | undefined>) =>
    loadPeer('sqsDriver', peer, from)
  return {
    sqs: await load('@aws-sdk/client-sqs', importSqs),
    sns: await load('@aws-sdk/client-sns', importSns),
  }
}

/**
 * Makes clients that hold two connections between them when nothing is being opened or closed:
 * one for the poll, and one for deleting what it has brought.
 */
export function makeClients({ sqs, sns }: Libraries, config: AwsConfig) {
  const common = { maxAttempts: 2, ...config }
  const agents = (agent: object) => ({ httpAgent: agent, httpsAgent: agent })
  // Without keepAlive, a connection still serves the next call that waits, since maxSockets bounds
  // them, and is closed when none waits. A maxFreeSockets of 0 would not do: Node takes it for 256.
  return {
    sqs: new sqs.SQSClient({ requestHandler: agents({ maxFreeSockets: 1 }), ...common }),
    sns: new sns.SNSClient({
      requestHandler: agents({ maxSockets: SNS_CONNECTIONS, keepAlive: false }),
      ...common,
    }),
  }
}

export function isClients(target: unknown): target is AwsClients {
  return typeof (target as AwsClients | undefined)?.sqs?.send === 'function'
}

export async function addressOf({ config }: SQSClient): Promise<string> {
  await config.region().catch((cause: unknown) => {
    throw new Error(
      `sqsDriver knows no region of AWS (${reasonOf(cause)}). Give { region }, or set AWS_REGION.`,
      { cause },
    )
  })
  const endpoint = await config.endpoint?.()
  if (endpoint) {
    const standard = endpoint.protocol === 'http:' ? 80 : 443
    return `${endpoint.hostname}:${endpoint.port ?? standard}`
  }
  return `sqs.${await config.region()}.amazonaws.com:443`
}

async function importSqs() {
  try {
    return await import('@aws-sdk/client-sqs')
  } catch (error) {
    return whenAbsent('@aws-sdk/client-sqs', error)
  }
}

async function importSns() {
  try {
    return await import('@aws-sdk/client-sns')
  } catch (error) {
    return whenAbsent('@aws-sdk/client-sns', error)
  }
}
