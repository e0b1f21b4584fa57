import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'
import { findCommand } from '../../test/brokers/apt.js'
import { whenEnding } from '../../test/support/ending.js'
import { node } from './child.js'

const run = promisify(execFile)

/** Why this machine can't have network namespaces. */
export class Unavailable extends Error {}

/** Runs `ip` with each of these, to make namespaces and what is in them. @throws Unavailable */
export async function makeNetwork(steps: readonly string[]): Promise<void> {
  if (process.getuid?.() !== 0) throw new Unavailable('network namespaces need root')
  if ((await findCommand('ip')) === undefined) {
    throw new Unavailable("the command ip (Debian's package iproute2) is not there")
  }
  for (const step of steps) {
    await run('ip', step.split(' ')).catch((error: { stderr?: string }) => {
      throw new Unavailable(`\`ip ${step}\` failed: ${error.stderr?.trim()}`)
    })
  }
}

/** Devices and rules go with them. One that was never made is no trouble. */
export async function dropNamespaces(names: readonly string[]): Promise<void> {
  for (const name of names) await run('ip', ['netns', 'del', name]).catch(() => undefined)
}

/** The steps that put a cable between two namespaces. Each end has its device and its address. */
export function cable(
  ...ends: [near: [space: string, device: string, address: string], far: [string, string, string]]
): string[] {
  const [[space, device], [farSpace, farDevice]] = ends
  return [
    `link add ${device} netns ${space} type veth peer name ${farDevice} netns ${farSpace}`,
    ...ends.flatMap(([inside, name, address]) => [
      `-n ${inside} addr add ${address}/24 dev ${name}`,
      `-n ${inside} link set ${name} up`,
    ]),
  ]
}

/** Runs a script of ours in a namespace, and gives what it wrote, which has to be JSON. */
export async function runIn<T>(space: string, script: string, argument: object): Promise<T> {
  const args = ['netns', 'exec', space, ...node, script, JSON.stringify(argument)]
  const child = spawn('ip', args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const letGo = whenEnding(() => child.kill('SIGTERM'))
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  const [code] = (await once(child, 'close')) as [number | null]
  letGo()
  if (code !== 0) throw new Error(`The run in the namespace ended with ${code}.`)
  return JSON.parse(output) as T
}
