import { until } from '../../test/support/until.js'
import { Crowd, LoadServer } from './load-server.js'
import type { CrowdReport } from './counting-server-messages.js'
import type { LoadSettings } from './counting-server.js'

/** How many topics there are, and how many of them each client has. */
export const TOPICS = 1_000
export const EACH = 10
/** How long anything may take to come about, in milliseconds. */
const PATIENCE = 120_000

/** A server and its browsers, each a process of its own. */
export interface LoadStage {
  server: LoadServer
  crowd: Crowd
}

/** @param prefix Goes before Node's own command, for all processes. */
export async function onStage<T>(
  settings: Partial<LoadSettings>,
  act: (stage: LoadStage) => Promise<T>,
  prefix: readonly string[] = [],
): Promise<T> {
  const server = await LoadServer.start({ topics: TOPICS, each: EACH, ...settings }, prefix)
  try {
    const crowd = await Crowd.start(server.port, prefix)
    try {
      return await act({ server, crowd })
    } finally {
      await crowd.stop()
    }
  } finally {
    await server.stop()
  }
}

/** Waits until so many streams have had their first message. */
export async function allGreeted(crowd: Crowd, clients: number): Promise<void> {
  const all = async () => (await crowd.report()).greeted === clients
  await until(`${clients} first messages`, all, PATIENCE)
}

/** Waits until the crowd has got so many messages since `take`, and takes them. */
export async function allReceived(crowd: Crowd, expected: number): Promise<CrowdReport> {
  const all = async () => (await crowd.report()).received >= expected
  await until(`${expected} messages`, all, PATIENCE)
  return crowd.take()
}
