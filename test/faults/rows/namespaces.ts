import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { findCommand } from '../../brokers/apt.js'
import type { Context, Row } from '../row.js'
import { node } from '../server-process.js'

const run = promisify(execFile)

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
  const inside: Inside = {
    seed,
    short,
    serverNamespace: far,
    address: '10.213.7.2',
    device: `ufa${tag}`,
    farDevice: `ufb${tag}`,
  }
  try {
    await make(near, inside)
    return await runInside(near, inside)
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
    // Devices and rules go with them. One that was never made is no trouble.
    for (const name of [near, far]) await run('ip', ['netns', 'del', name]).catch(() => undefined)
  }
}

class Unavailable extends Error {}

async function make(near: string, { serverNamespace, address, device, farDevice }: Inside) {
  if (process.getuid?.() !== 0) throw new Unavailable('network namespaces need root')
  if ((await findCommand('ip')) === undefined) {
    throw new Unavailable("the command ip (Debian's package iproute2) is not there")
  }
  const steps = [
    `netns add ${near}`,
    `netns add ${serverNamespace}`,
    `link add ${device} netns ${near} type veth peer name ${farDevice} netns ${serverNamespace}`,
    `-n ${near} link set lo up`,
    `-n ${near} addr add 10.213.7.1/24 dev ${device}`,
    `-n ${near} link set ${device} up`,
    `-n ${serverNamespace} link set lo up`,
    `-n ${serverNamespace} addr add ${address}/24 dev ${farDevice}`,
    `-n ${serverNamespace} link set ${farDevice} up`,
  ]
  for (const step of steps) {
    await run('ip', step.split(' ')).catch((error: { stderr?: string }) => {
      throw new Unavailable(`\`ip ${step}\` failed: ${error.stderr?.trim()}`)
    })
  }
}

async function runInside(near: string, inside: Inside): Promise<Row[]> {
  const script = fileURLToPath(new URL('../inside.ts', import.meta.url))
  const args = ['netns', 'exec', near, ...node, script, JSON.stringify(inside)]
  const child = spawn('ip', args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`The run in the namespace ended with ${code}.`)
  return JSON.parse(output) as Row[]
}
