import { readdir, readFile } from 'node:fs/promises'
import { createHash, randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { findCommand } from './apt.js'
import { buildWithGo } from './go.js'
import { BrokerProcess, freePort } from './process.js'

// The library would look for a machine of Google's around it otherwise, and say so.
process.env['METADATA_SERVER_DETECTION'] = 'none'
delete process.env['PUBSUB_EMULATOR_HOST']

/** An emulator that is running already and is used instead of one of ours: `host:port`. */
export const RUNNING_PUBSUB = process.env['UNIFROST_TEST_GOOGLE_PUBSUB']?.replace(/^\w+:\/\//, '')

/**
 * The project that everything of a test file is in, so that two of them can share a server. No
 * emulator asks whether it exists.
 */
export const PROJECT = `unifrost-test-${randomUUID().slice(0, 8)}`

/**
 * What stands in for the service, which can't be installed: Google's emulator, where it is on
 * this machine, or `pstest`, the server of Google's own Go library's tests.
 */
export type PubSubKind = 'emulator' | 'pstest'

/** A Pub/Sub server of ours, on a port of its own. It keeps nothing when it ends. */
export interface PubSubServer {
  readonly kind: PubSubKind
  readonly port: number
  readonly process: BrokerProcess
  stop(): Promise<void>
}

export interface PubSubServerOptions {
  /** Default: the emulator, where it is on this machine. */
  kind?: PubSubKind
  /** Default: one that is free. */
  port?: number
  /** How many streams a connection may have, as with Google. `pstest` only. Default: any number. */
  streams?: number
}

export async function startPubSub(options: PubSubServerOptions = {}): Promise<PubSubServer> {
  const emulator = options.kind === 'pstest' ? undefined : await findEmulator()
  const port = options.port ?? (await freePort())
  const broker = await BrokerProcess.start({
    ...(emulator ? emulatorCommand(emulator, port) : await pstestCommand(port, options.streams)),
    port,
  })
  return {
    kind: emulator ? 'emulator' : 'pstest',
    port,
    process: broker,
    stop: () => broker.stop(),
  }
}

function emulatorCommand({ java, jar }: Emulator, port: number) {
  const memory = ['-Xms32m', '-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1']
  return { command: java, args: [...memory, '-jar', jar, '--host=127.0.0.1', `--port=${port}`] }
}

async function pstestCommand(port: number, streams = 0) {
  const command = await buildPstest()
  return { command, args: ['-listen', `127.0.0.1:${port}`, '-streams', String(streams)] }
}

interface Emulator {
  java: string
  jar: string
}

async function findEmulator(): Promise<Emulator | undefined> {
  const java = await findCommand('java')
  if (java === undefined || process.env['UNIFROST_TEST_PSTEST'] !== undefined) return undefined
  for (const root of ['/usr/lib/google-cloud-sdk', '/opt/google-cloud-sdk']) {
    const folder = join(root, 'platform/pubsub-emulator/lib')
    const files = await readdir(folder).catch(() => [])
    const jar = files.find((name) => /^cloud-pubsub-emulator-.*\.jar$/.test(name))
    if (jar !== undefined) return { java, jar: join(folder, jar) }
  }
  return undefined
}

const SOURCE = 'test/brokers/pstest'

/** Builds `pstest` once for each version of what it is made of. */
async function buildPstest(): Promise<string> {
  const hash = createHash('sha256')
  for (const file of ['main.go', 'go.mod', 'go.sum'])
    hash.update(await readFile(join(SOURCE, file)))
  return buildWithGo({
    name: 'pstest',
    version: hash.digest('hex').slice(0, 16),
    args: (folder) => ['build', '-trimpath', '-o', folder, '.'],
    cwd: SOURCE,
    instead: 'start an emulator of Pub/Sub and set UNIFROST_TEST_GOOGLE_PUBSUB=host:port',
  })
}
