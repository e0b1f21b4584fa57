import { fileURLToPath } from 'node:url'
import { requireCommand } from '../../../test/brokers/apt.js'
import { cable, dropNamespaces, makeNetwork, runIn, Unavailable } from '../../kit/network.js'
import type { Context } from '../context.js'
import type { Row } from '../../kit/row.js'

/** What the process inside is told. */
export interface Inside {
  seed: number
  short: boolean
  /** Where the server runs, and its address there. */
  serverNamespace: string
  address: string
  /** The end of the cable that is pulled. */
  device: string
  /** The other end, in the server's namespace. */
  farDevice: string
  /** Why there is no nftables, if there is none. */
  withoutNft: string | undefined
}

const PROMISES = [
  'A pulled cable is survived',
  'A peer that vanished is let go by the kernel’s limit alone',
  'Packets that get lost are made up for',
]

/** Clients and server in two network namespaces with a cable of their own between them. */
export async function namespaces({ seed, short }: Context): Promise<Row[]> {
  // Names that two runs at once do not share; a device has at most 15 letters.
  const tag = process.pid.toString(36)
  const [near, far] = [`unifrost-a-${tag}`, `unifrost-b-${tag}`]
  const [device, farDevice, address] = [`ufa${tag}`, `ufb${tag}`, '10.213.7.2']
  // Inside there is no network to install anything from.
  const withoutNft = await requireCommand('nft', 'nftables', 'leave this row out').then(
    () => undefined,
    (cause: Error) => cause.message.split('\n')[0],
  )
  const inside: Inside = {
    seed,
    short,
    serverNamespace: far,
    address,
    device,
    farDevice,
    withoutNft,
  }
  try {
    await makeNetwork([
      ...[near, far].flatMap((name) => [`netns add ${name}`, `-n ${name} link set lo up`]),
      ...cable([near, device, '10.213.7.1'], [far, farDevice, address]),
    ])
    return await runIn<Row[]>(
      near,
      fileURLToPath(new URL('namespaces-inside.ts', import.meta.url)),
      inside,
    )
  } catch (cause) {
    if (!(cause instanceof Unavailable)) throw cause
    return PROMISES.map((promise) => ({
      promise,
      how: 'two network namespaces with a veth pair between them',
      figure: '',
      problems: [],
      leftOut: cause.message,
    }))
  } finally {
    await dropNamespaces([near, far])
  }
}
