import { fileURLToPath } from 'node:url'
import { cable, dropNamespaces, makeNetwork, runIn, Unavailable } from '../../kit/network.js'
import type { Row } from '../../kit/row.js'
import type { Context } from '../on-fleet.js'

/** What the process inside is told. */
export interface Inside {
  seed: number
  clients: number
  short: boolean
  /** Where the first server runs. */
  serverNamespace: string
  /** The engine's address as that server sees it, and its own as the balancer sees it. */
  engineAddress: string
  serverAddress: string
  /** The devices of both cables at this end: to the engine, and to the balancer. */
  engineCable: string
  clientCable: string
}

/**
 * The first of three servers in a network namespace of its own, with one cable to the engine and
 * another to the balancer.
 */
export async function cutOff({ seed, clients, short }: Context): Promise<Row> {
  // Names that two runs at once do not share; a device has at most 15 letters.
  const tag = process.pid.toString(36)
  const [near, far] = [`unifrost-c-${tag}`, `unifrost-d-${tag}`]
  const inside: Inside = {
    seed,
    clients: Math.min(clients, 150),
    short,
    serverNamespace: far,
    engineAddress: '10.213.8.1',
    serverAddress: '10.213.9.2',
    engineCable: `ufe${tag}`,
    clientCable: `ufc${tag}`,
  }
  try {
    await makeNetwork([
      ...[near, far].flatMap((name) => [`netns add ${name}`, `-n ${name} link set lo up`]),
      ...cable([near, inside.engineCable, '10.213.8.1'], [far, `uff${tag}`, '10.213.8.2']),
      ...cable([near, inside.clientCable, '10.213.9.1'], [far, `ufg${tag}`, '10.213.9.2']),
    ])
    const script = fileURLToPath(new URL('cut-off-inside.ts', import.meta.url))
    return await runIn<Row>(near, script, inside)
  } catch (cause) {
    if (!(cause instanceof Unavailable)) throw cause
    return {
      promise: 'A server cut off from the engine, then from the clients',
      how: 'network namespaces with two cables between them',
      figure: '',
      problems: [],
      leftOut: cause.message,
    }
  } finally {
    await dropNamespaces([near, far])
  }
}
