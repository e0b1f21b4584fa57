import { Crowd } from '../kit/crowd.js'
import type { LoadSettings } from './counting-server-messages.js'
import { LoadServer } from './load-server.js'

/** How many topics there are, and how many of them each client has. */
export const TOPICS = 1_000
export const EACH = 10
/** How many connections may be on their way at once. */
const ABREAST = 1_000

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
    const servers = [{ host: '127.0.0.1', port: server.port }]
    const crowd = await Crowd.start({ servers, abreast: ABREAST }, { prefix })
    try {
      return await act({ server, crowd })
    } finally {
      await crowd.stop()
    }
  } finally {
    await server.stop()
  }
}
