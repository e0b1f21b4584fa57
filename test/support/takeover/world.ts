import type { Removal } from '../../../src/index.js'
import type { Streamer } from '../../../src/streamer.js'
import { Streamer as RealStreamer } from '../../../src/streamer.js'
import { FakeEngine } from '../fake-directory.js'
import { FakeResponse, fakeRequest } from '../fake-response.js'
import { ManualClock } from '../manual-clock.js'
import { Page, turns } from '../stage.js'
import { StubDriver } from '../stub-driver.js'

export const TOPIC = 'news'

/** A call to the engine that waits for the explorer. */
interface Call {
  readonly server: string
  readonly verb: string
  release(): void
}

export interface Server {
  readonly name: string
  readonly streamer: Streamer
  readonly driver: StubDriver
  readonly clock: ManualClock
  state: 'running' | 'paused' | 'dead'
}

/**
 * Some real Streamers, two by default, on a fake engine whose every answer waits to be let through, and one client,
 * which behaves as an EventSource does: one stream at a time, the next one when that has ended.
 */
export class World {
  readonly engine = new FakeEngine()
  readonly servers: Server[] = []
  /** What the engine has been asked and has not done, oldest first. */
  calls: Call[] = []
  readonly pages: { page: Page; server: Server; socket: { destroyed: boolean } }[] = []
  readonly subscribed = new Set<string>()
  id = ''
  private gated = false
  private readonly acts: Promise<unknown>[] = []

  static async make(
    names: readonly string[] = ['a', 'b'],
    owner: string | false = false,
  ): Promise<World> {
    const world = new World(owner)
    for (const name of names) await world.add(name)
    const { id } = await world.servers[0]!.streamer.newClient({ owner })
    world.id = id
    await world.servers[0]!.streamer.subscribe(id, TOPIC)
    world.subscribed.add(TOPIC)
    world.engine.gate = (verb, server) => world.wait(verb, server)
    world.gated = true
    return world
  }

  private constructor(private readonly owner: string | false) {}

  private async add(name: string): Promise<void> {
    const driver = new StubDriver()
    const clock = new ManualClock()
    const directory = this.engine.directory()
    const options = { clock, directory, server: name, heartbeatInterval: 0, topicLinger: 0 }
    const streamer = new RealStreamer(driver, options)
    await streamer.open()
    this.servers.push({ name, streamer, driver, clock, state: 'running' })
  }

  /** Has the client ask a server for its stream. */
  connect(server: Server): void {
    this.ask(server, this.id, this.pages.at(-1))
  }

  /** Has an automatic client of the owner's ask a server for its stream. */
  async connectAutomatic(server: Server): Promise<void> {
    if (server.state === 'dead') return
    const options = { owner: this.owner, transient: true }
    const { id } = await server.streamer.newClient(options)
    await server.streamer.subscribe(id, TOPIC)
    this.ask(server, id)
  }

  private ask(server: Server, id: string, former?: World['pages'][number]): void {
    // A stream that was open may be left behind half-open: the network has died, and nobody told.
    if (former !== undefined && !former.page.response.headersSent) {
      former.page.response.destroy()
      former.socket.destroyed = true
    }
    const response = new FakeResponse()
    const socket = { destroyed: false }
    this.pages.push({ page: new Page(response), server, socket })
    // Whoever is dead refuses the connection, and whoever is paused takes it and says nothing.
    if (server.state === 'dead') response.destroy()
    else
      this.act(
        server.streamer.handle(
          fakeRequest(id, undefined, { socket } as object),
          response.asResponse,
          this.owner === false ? {} : { owner: this.owner },
        ),
      )
  }

  /** Has a topic added by way of a server. */
  subscribe(server: Server, topic: string): void {
    const done = server.streamer.subscribe(this.id, topic).then(
      () => this.subscribed.add(topic),
      // Then it need not have been done, and may have been.
      (error: unknown) => void error,
    )
    this.act(done)
  }

  /** Has the client removed, or its owner revoked, by way of a server. */
  end(server: Server, how: 'remove' | 'revoke', refusedFor?: number): Promise<Removal | string> {
    const { streamer } = server
    const options = refusedFor === undefined ? {} : { for: refusedFor }
    const removal =
      how === 'remove'
        ? streamer.removeClient(this.id)
        : streamer.revoke(this.owner as string, options)
    const done = removal.catch(
      (error: unknown) => (error as { code?: string }).code ?? String(error),
    )
    this.act(done)
    return done
  }

  /** The servers whose calls the engine does now. */
  ready(): Call[] {
    return this.calls.filter(({ server }) => this.serverOf(server).state !== 'paused')
  }

  async release(call: Call): Promise<void> {
    this.calls = this.calls.filter((other) => other !== call)
    call.release()
    await turns()
  }

  async crash(server: Server): Promise<void> {
    server.state = 'dead'
    for (const name of [...this.engine.hosts.keys()]) {
      if (name.startsWith(`${server.name}-`)) this.engine.hosts.delete(name)
    }
    for (const { page, server: of } of this.pages) if (of === server) page.response.destroy()
    // What it has asked and what it asks from now on is never done.
    for (const call of this.calls.filter(({ server: name }) => this.serverOf(name) === server)) {
      await this.release(call)
    }
  }

  pause(server: Server): void {
    server.state = 'paused'
    this.engine.stopped.add(this.fullName(server))
  }

  /** It reads what it was sent, unless that was lost meanwhile, and finds its lease lapsed. */
  async wake(server: Server, unread: 'read' | 'lost' = 'read'): Promise<void> {
    const name = this.fullName(server)
    server.state = 'running'
    this.engine.stopped.delete(name)
    const host = this.engine.hosts.get(name)!
    host.lapsed()
    const messages = this.engine.unread.filter(({ server: to }) => to === name)
    for (const { message } of unread === 'read' ? messages : []) this.act(host.receive(message))
    host.up(String(this.engine.memory))
    await turns()
  }

  /** Lets everything happen that is still to happen. */
  async settle(): Promise<void> {
    for (const server of this.servers) if (server.state === 'paused') await this.wake(server)
    for (let rounds = 0; rounds < 6; rounds++) {
      await this.drain()
      for (const { clock, state } of this.servers) if (state !== 'dead') clock.advance(1_500)
    }
    await this.drain()
    await Promise.all(this.acts)
  }

  publish(payload: string): void {
    for (const { driver, state } of this.servers) {
      const opening = driver.openings.findLast(({ topic }) => topic === TOPIC)
      if (state === 'running' && opening?.closes === 0) opening.sink.message(payload)
    }
  }

  async close(): Promise<void> {
    this.gated = false
    for (const call of this.calls.splice(0)) call.release()
    for (const server of this.servers) {
      const closing = server.streamer.close()
      await turns()
      server.clock.advance(6_000)
      await closing
    }
  }

  private act(done: Promise<unknown>): void {
    this.acts.push(done)
  }

  private async drain(): Promise<void> {
    await turns()
    for (let call = this.calls[0]; call !== undefined; call = this.calls[0])
      await this.release(call)
  }

  private async wait(verb: string, server: string): Promise<void> {
    if (this.gated) {
      await new Promise<void>((release) => this.calls.push({ verb, server, release }))
    }
    if (this.serverOf(server).state === 'dead') throw new Error('This server is dead.')
  }

  private serverOf(name: string): Server {
    return this.servers.find((server) => name.startsWith(`${server.name}-`))!
  }

  private fullName(server: Server): string {
    return [...this.engine.hosts.keys()].find((name) => name.startsWith(`${server.name}-`))!
  }
}
