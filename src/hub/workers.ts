import { availableParallelism } from 'node:os'
import { startHub } from './hub.js'
import type { Part, Role } from './roles.js'
import { takePart, tellParent, whenToEnd } from './roles.js'
import { serve } from './serve.js'
import { Supervisor } from './supervisor.js'
import { checkWorkersOptions } from './workers-options.js'
import type { WorkersOptions } from './workers-options.js'

export type { Role }

/** What runs, as the process sees it that called `startWorkers`. */
export interface Workers {
  /** What this process is. The script runs in all of them. */
  readonly role: Role
  /** The port that the workers listen on. In the first process only. */
  readonly port: number | undefined
  /** The processes that run. In the first process only. */
  pids(): Promise<{ hub: number | undefined; workers: number[] }>
  /** Replaces the workers one after the other, as SIGHUP does. Their clients resume at the others. */
  restart(): Promise<void>
  /** Ends the workers and then the hub, as SIGTERM does. Calling it again does nothing. */
  close(): Promise<void>
}

/**
 * Serves one app on all cores: one hub process with the broker's connections, and workers that share
 * a port. The script that calls it runs in each of these processes; the first one starts the others
 * and replaces what dies. SIGHUP replaces the workers one by one, SIGTERM and SIGINT end everything.
 *
 * @throws OptionsError; Error if the hub or a worker does not start. Nothing is left then.
 */
export async function startWorkers(options: WorkersOptions): Promise<Workers> {
  checkWorkersOptions(options)
  const part = takePart()
  if (part === undefined) return supervise(options)
  try {
    if (part.role === 'hub') await beHub(part, options)
    else await beWorker(part, options)
  } catch (error) {
    await tellParent({ unifrost: 'failed', message: (error as Error).message })
    process.exit(1)
  }
  return {
    role: part.role,
    port: undefined,
    pids: onlyInFirst,
    restart: onlyInFirst,
    close: onlyInFirst,
  }
}

async function supervise(options: WorkersOptions): Promise<Workers> {
  const { workers = 'auto', address, drain = 5_000 } = options
  const report = options.report ?? ((message: string) => process.stderr.write(`${message}\n`))
  const supervisor = new Supervisor({
    workers: workers === 'auto' ? availableParallelism() : workers,
    address,
    drain,
    report,
  })
  const restart = () => {
    supervisor.restart().catch((error: unknown) => report((error as Error).message))
  }
  const end = () => void supervisor.end().finally(() => process.exit(0))
  process.on('SIGHUP', restart)
  process.on('SIGTERM', end)
  process.on('SIGINT', end)
  const forget = () => {
    process.off('SIGHUP', restart)
    process.off('SIGTERM', end)
    process.off('SIGINT', end)
  }
  try {
    await supervisor.start()
  } catch (error) {
    forget()
    throw error
  }
  return {
    role: 'primary',
    port: supervisor.port,
    pids: () => supervisor.pids(),
    restart: () => supervisor.restart(),
    close: () => supervisor.end().finally(forget),
  }
}

async function beHub({ address }: Part, { driver, hub: settings = {} }: WorkersOptions) {
  const made = await driver()
  const hub = await startHub({ ...settings, address, driver: made })
  whenToEnd(false, () => void hub.close().finally(() => process.exit(0)))
  await tellParent({ unifrost: 'ready', encoding: made.encoding ?? 'utf8' })
}

async function beWorker(part: Part, options: WorkersOptions): Promise<void> {
  const { app, streamer = {}, kindOf, port, host, drain = 5_000 } = options
  await serve(part, { app, streamer, kindOf, port, host, drain })
}

function onlyInFirst(): never {
  throw new Error('Call this in the process whose role is primary.')
}
