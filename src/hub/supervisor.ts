import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import cluster from 'node:cluster'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Backoff, pause, within } from '../driver-kit/index.js'
import { closeWhatIsOnItsWay } from './handed-over.js'
import type { ChildSays, Part } from './roles.js'
import { PART } from './roles.js'

/** A child that lived for as long was a good one: the next is started at once. */
const STABLE = 5_000
/** How long a child may take beyond its drain before it is killed, in milliseconds. */
const GRACE = 10_000

/** A process of ours. */
interface Child {
  readonly process: ChildProcess
  readonly since: number
  /** What it said when it was ready. */
  readonly ready: Extract<ChildSays, { unifrost: 'ready' }>
  /** Settles when it has exited. */
  readonly exited: Promise<void>
}

/** What keeps one child there: the hub, or one of the workers. */
class Place {
  readonly #backoff = new Backoff()
  #child: Promise<Child> | undefined
  #isOver = false

  /** @param start Starts one. It rejects when that exits before it is ready. */
  constructor(
    private readonly start: () => Promise<Child>,
    private readonly report: (message: string) => void,
  ) {}

  /** The child, started where there is none. */
  fill(): Promise<Child> {
    return (this.#child ??= this.#watched())
  }

  get child(): Promise<Child> | undefined {
    return this.#child
  }

  /** Starts another, and then has the one before it end. */
  async replace(grace: number): Promise<void> {
    const old = await this.#child
    this.#child = this.#watched()
    await this.#child
    if (old !== undefined) await endChild(old, grace)
  }

  async end(grace: number): Promise<void> {
    this.#isOver = true
    const child = await this.#child?.catch(() => undefined)
    if (child !== undefined) await endChild(child, grace)
  }

  async #watched(): Promise<Child> {
    const child = await this.start()
    void child.exited.then(() => this.#refill(child))
    return child
  }

  async #refill(gone: Child): Promise<void> {
    // It was replaced, or all of them end.
    if (this.#isOver || (await this.#child?.catch(() => undefined)) !== gone) return
    const { exitCode, signalCode, pid } = gone.process
    this.report(`Process ${pid} ended by ${signalCode ?? exitCode}. Another is started.`)
    if (Date.now() - gone.since >= STABLE) this.#backoff.reset()
    for (;;) {
      await pause(this.#backoff.next())
      if (this.#isOver) return
      try {
        this.#child = this.#watched()
        await this.#child
        return
      } catch (error) {
        this.report((error as Error).message)
      }
    }
  }
}

/** What the first process is started with. */
export interface SupervisorOptions {
  workers: number
  /** Where the hub listens. Default: in a new folder of this process. */
  address: string | undefined
  drain: number
  /** Told in one line what happens to a child. */
  report: (message: string) => void
}

/** The first process: keeps a hub and the workers there. It serves nothing itself. */
export class Supervisor {
  readonly #options: SupervisorOptions
  #folder: string | undefined
  #hub: Place | undefined
  #workers: Place[] = []
  #restarting: Promise<void> = Promise.resolve()
  #ending: Promise<void> | undefined
  /** The port that the workers share. */
  port = 0

  constructor(options: SupervisorOptions) {
    this.#options = options
  }

  /** Starts the hub, then the workers. When it rejects, nothing is left. */
  async start(): Promise<void> {
    const { workers, report } = this.#options
    const address = this.#options.address ?? (await this.#newAddress())
    this.#hub = new Place(() => startHubProcess({ role: 'hub', address }), report)
    this.#workers = Array.from({ length: workers }, () => {
      const start = async () => {
        const { encoding = 'utf8' } = (await this.#hub!.fill()).ready
        return startWorker({ role: 'worker', address, encoding })
      }
      return new Place(start, report)
    })
    try {
      await this.#hub.fill()
      const started = await Promise.all(this.#workers.map((place) => place.fill()))
      this.port = started[0]?.ready.port ?? 0
    } catch (error) {
      await this.end()
      throw error
    }
  }

  /** The processes that run. */
  async pids(): Promise<{ hub: number | undefined; workers: number[] }> {
    const pidOf = async (place: Place | undefined) =>
      (await place?.child?.catch(() => undefined))?.process.pid
    const workers = await Promise.all(this.#workers.map(pidOf))
    return { hub: await pidOf(this.#hub), workers: workers.filter((pid) => pid !== undefined) }
  }

  /** Replaces the workers one after the other. */
  restart(): Promise<void> {
    const next = this.#restarting.then(async () => {
      for (const place of this.#workers) {
        if (this.#ending === undefined) await place.replace(this.#grace)
      }
    })
    this.#restarting = next.catch(() => undefined)
    return next
  }

  /** Ends the workers, all at once, and then the hub. */
  end(): Promise<void> {
    return (this.#ending ??= this.#end())
  }

  get #grace(): number {
    return this.#options.drain + GRACE
  }

  async #end(): Promise<void> {
    await Promise.all(this.#workers.map((place) => place.end(this.#grace)))
    await this.#hub?.end(GRACE)
    if (this.#folder !== undefined) await rm(this.#folder, { recursive: true, force: true })
  }

  async #newAddress(): Promise<string> {
    if (process.platform === 'win32') return `\\\\.\\pipe\\unifrost-${process.pid}`
    // Only this user may look into it.
    this.#folder = await mkdtemp(join(tmpdir(), 'unifrost-'))
    return join(this.#folder, 'hub')
  }
}

function startHubProcess(part: Part): Promise<Child> {
  const { exec = process.argv[1]!, args = process.argv.slice(2) } = cluster.settings
  const env = { ...process.env, [PART]: JSON.stringify(part) }
  return started('hub', fork(exec, args, { env }))
}

function startWorker(part: Part): Promise<Child> {
  const { process: child } = cluster.fork({ [PART]: JSON.stringify(part) })
  closeWhatIsOnItsWay(child)
  return started('worker', child)
}

/** Waits until a child says that it is ready. @throws Error with what it said, if it ends before. */
function started(what: string, child: ChildProcess): Promise<Child> {
  const since = Date.now()
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  return new Promise((resolve, reject) => {
    let reason: string | undefined
    child.on('message', (message: Partial<ChildSays> | undefined) => {
      if (message?.unifrost === 'failed') reason = message.message
      if (message?.unifrost !== 'ready') return
      resolve({ process: child, since, exited, ready: message as Child['ready'] })
    })
    void exited.then(() => {
      const how = child.signalCode ?? `code ${child.exitCode}`
      reject(new Error(reason ?? `The ${what} ended with ${how} before it was ready.`))
    })
  })
}

/** Has a child end, and kills it when that takes too long. */
async function endChild({ process: child, exited }: Child, grace: number): Promise<void> {
  if (child.connected) child.send({ unifrost: 'end' }, () => undefined)
  await within(exited, grace)
  if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
  await exited
}
