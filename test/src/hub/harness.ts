import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer, connect } from 'node:net'
import type { Server, Socket } from 'node:net'
import { join } from 'node:path'
import { hubDriver } from '../../../src/hub/index.js'
import type { HubDriver, HubStats } from '../../../src/hub/index.js'
import type { DriverHarness, Refusal } from '../../../src/testing/index.js'
import { whenEnding } from '../../support/ending.js'
import { socketFolder } from './in-process.js'

const QUICK = { connectTimeout: 2_500, subscribeTimeout: 4_000, silence: 1_000 }

/** A hub as a process that may be killed and frozen. */
export class HubProcess {
  #child: ChildProcess | undefined

  constructor(
    private readonly address: string,
    private readonly linger = 0,
  ) {}

  async start(): Promise<void> {
    const script = join(__dirname, 'hub-process.ts')
    const child = fork(script, [this.address, String(this.linger)], {
      execArgv: ['--import', 'tsx'],
    })
    this.#child = child
    whenEnding(() => child.kill('SIGKILL'))
    const [said] = (await once(child, 'message')) as [unknown]
    if (said !== 'listening') throw new Error('The hub did not start.')
  }

  async kill(): Promise<void> {
    const child = this.#child!
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  freeze(): () => Promise<void> {
    const child = this.#child!
    child.kill('SIGSTOP')
    return async () => void child.kill('SIGCONT')
  }

  async stats(): Promise<HubStats> {
    const answered = once(this.#child!, 'message')
    this.#child!.send('stats')
    return ((await answered) as [HubStats])[0]
  }
}

/** A way to the hub's socket that can be broken. */
class SocketLink {
  readonly #pairs = new Set<{ near: Socket; far: Socket; isSilent: boolean }>()
  readonly #refusals = new Set<number[]>()
  #server: Server | undefined

  constructor(
    readonly address: string,
    private readonly target: string,
  ) {}

  async start(): Promise<void> {
    this.#server = createServer((near) => this.#pass(near))
    this.#server.listen(this.address)
    await once(this.#server, 'listening')
  }

  cut(): void {
    for (const { near } of this.#pairs) near.destroy()
  }

  stall(): void {
    for (const pair of this.#pairs) pair.isSilent = true
  }

  refuse(): Refusal {
    const attempts: number[] = []
    this.#refusals.add(attempts)
    this.cut()
    return { attempts, end: () => void this.#refusals.delete(attempts) }
  }

  async close(): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.#server!.close(resolve))
  }

  #pass(near: Socket): void {
    near.on('error', () => undefined)
    if (this.#refusals.size > 0) {
      for (const attempts of this.#refusals) attempts.push(performance.now())
      near.destroy()
      return
    }
    const far = connect(this.target)
    const pair = { near, far, isSilent: false }
    this.#pairs.add(pair)
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('data', (bytes) => {
        if (!pair.isSilent && !to.destroyed) to.write(bytes)
      })
      from.on('error', () => undefined)
      from.on('close', () => {
        this.#pairs.delete(pair)
        to.destroy()
      })
    }
  }
}

/** A hub for the driver's contract, and how to break it. */
export class HubFixture {
  readonly #folder = socketFolder()
  readonly #hub = new HubProcess(this.#folder.path('hub'))
  readonly #link = new SocketLink(this.#folder.path('link'), this.#folder.path('hub'))
  #publisher: HubDriver | undefined

  readonly harness: DriverHarness = {
    create: () => hubDriver(this.#link.address, QUICK),
    publish: async (topic, payload) => {
      await this.#publisher!.publish(topic, payload)
    },
    restart: async () => {
      await this.#hub.kill()
      await this.#hub.start()
    },
    freeze: async () => this.#hub.freeze(),
    cut: () => this.#link.cut(),
    stall: () => this.#link.stall(),
    refuse: () => this.#link.refuse(),
    leftovers: async () => {
      // The publisher of these tests is a worker, too.
      await this.#publisher!.connect()
      const { workers, topics } = await this.#hub.stats()
      return workers + topics - 1
    },
    subscriptions: async () => (await this.#hub.stats()).topics,
    badTopics: ['refused'],
    without: {
      deniedTopic: 'a hub knows no permissions: its socket is for one user of the machine',
      unreachable: "an address is a path, not a host with a port; the driver's own tests have it",
      badLogin: 'a hub knows no credentials: its socket is for one user of the machine',
      brought: 'the connection is always the own one',
    },
  }

  async start(): Promise<void> {
    await this.#hub.start()
    await this.#link.start()
    this.#publisher = hubDriver(this.#folder.path('hub'), QUICK)
    await this.#publisher.connect()
  }

  async stop(): Promise<void> {
    await this.#publisher?.close()
    await this.#link.close()
    await this.#hub.kill()
    this.#folder.remove()
  }
}
