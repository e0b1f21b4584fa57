import { setImmediate } from 'node:timers/promises'
import { memoryDriver, Streamer } from 'unifrost'
import type { Run, Runs } from 'unifrost/runs'
import { runs } from 'unifrost/runs'
import { MemoryStore } from '../../../src/runs/memory-store.js'
import type { Read } from './serving.js'
import { eventsIn } from './serving.js'

/** What may happen to runs. `freeze` takes a run from a producer that does not know of it. */
export type Command =
  | {
      do: 'start' | 'startTwice' | 'stop' | 'freeze' | 'read' | 'stranger'
      name: string
      server: number
    }
  | { do: 'append'; name: string; parts: string[] }
  | { do: 'end'; name: string; last: string }
  | { do: 'crash'; name: string }
  /** One that has lost its run appends to it. */
  | { do: 'wake'; which: number }
  /** A reader is cut off after some of the bytes that it was sent, and comes again. */
  | { do: 'cut'; which: number; at: number; server: number }

/** A producer that goes on until it is told to end. */
class Held {
  readonly began: Promise<void>
  private begin!: () => void
  private go!: () => void
  private readonly over: Promise<void>
  private run: Run | undefined = undefined

  constructor() {
    this.began = new Promise((resolve) => (this.begin = resolve))
    this.over = new Promise((resolve) => (this.go = resolve))
  }

  readonly produce = async (run: Run): Promise<void> => {
    this.run = run
    this.begin()
    await this.over
  }

  append(part: string): void {
    this.run!.append(part)
  }

  end(): void {
    this.go()
  }
}

/** A run as it must be. */
interface Expected {
  readonly id: string
  readonly name: string
  term: number
  producer: Held
  readonly parts: string[]
  end: string | undefined
}

/** A page: what it has taken so far, over all its connections. */
class Page {
  taken: Read[] = []
  private text = ''
  private over: Promise<void> = Promise.resolve()
  private reader: ReadableStreamDefaultReader<Uint8Array> | undefined = undefined

  constructor(readonly expected: Expected) {}

  get position(): string | undefined {
    return this.taken.at(-1)?.id
  }

  get isOver(): boolean {
    return this.taken.at(-1)?.event === 'end'
  }

  open(response: Response): void {
    this.text = ''
    this.reader = response.body!.getReader()
    this.over = this.pump(this.reader)
  }

  /** @param at How much of the bytes has arrived: 0 is nothing, 1 all of it. */
  async cut(at: number): Promise<void> {
    this.text = this.text.slice(0, Math.round(this.text.length * at))
    await this.reader!.cancel()
    await this.take()
  }

  /** Reads to the end of the response. */
  async take(): Promise<void> {
    await this.over
    this.taken.push(...eventsIn(this.text))
    this.text = ''
  }

  private async pump(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
    for (;;) {
      const { value, done } = await reader.read()
      // What comes of a cut connection has not arrived.
      if (done || reader !== this.reader) return
      this.text += Buffer.from(value).toString()
    }
  }
}

/** Servers with one store, runs on them, and who reads these. */
export class RunsWorld {
  private readonly store = new MemoryStore()
  private readonly streamers: Streamer[] = []
  private readonly servers: Runs[] = []
  private readonly newest = new Map<string, Expected>()
  /** Producers that have lost their runs. */
  private readonly lost: Held[] = []
  private readonly pages: Page[] = []

  constructor(servers: number) {
    for (let n = 0; n < servers; n++) {
      const streamer = new Streamer(memoryDriver())
      this.streamers.push(streamer)
      this.servers.push(runs(streamer, { store: this.store, keep: Infinity, prefix: 'x.' }))
    }
  }

  async apply(command: Command): Promise<void> {
    switch (command.do) {
      case 'start':
        await this.start(command.name, [command.server])
        break
      case 'startTwice':
        await this.start(command.name, [command.server, command.server + 1])
        break
      case 'append':
        this.append(command.name, command.parts)
        break
      case 'stop':
        await this.stop(command.name, command.server)
        break
      case 'end':
        this.end(command.name, command.last)
        break
      case 'freeze':
        await this.freeze(command.name, command.server)
        break
      case 'crash':
        this.crash(command.name)
        break
      case 'wake':
        this.wake(command.which)
        break
      case 'read':
        await this.read(command.name, command.server)
        break
      case 'cut':
        await this.cut(command)
        break
      case 'stranger':
        await this.stranger(command.name, command.server)
    }
    await written()
  }

  /** All runs end, all pages read to the end, and have what was appended. */
  async finish(): Promise<void> {
    for (const name of this.newest.keys()) this.end(name, 'the last part')
    for (const { expected } of this.pages) expect(expected.end).toBeDefined()
    for (const page of this.pages) {
      await page.take()
      // From the middle, or from the end, where the answer is 204.
      const response = await this.ask(page.expected.name, 0, page.position)
      expect(response.status).toBe(204)
      const { id, parts, end } = page.expected
      expect(page.taken).toEqual([
        ...parts.map((data, n) => ({ event: undefined, data, id: `${id}-${n + 1}` })),
        { event: 'end', data: expect.stringContaining(end!), id: `${id}-${parts.length + 1}` },
      ])
    }
  }

  async close(): Promise<void> {
    for (const run of this.newest.values()) run.producer.end()
    for (const producer of this.lost) producer.end()
    await Promise.all(this.streamers.map((streamer) => streamer.close()))
  }

  private at(server: number): Runs {
    return this.servers[server % this.servers.length]!
  }

  /** The run of this name that goes on. */
  private running(name: string): Expected | undefined {
    const run = this.newest.get(name)
    return run?.end === undefined ? run : undefined
  }

  private async start(name: string, servers: readonly number[]): Promise<void> {
    const before = this.running(name)
    const producer = new Held()
    const answers = await Promise.all(
      servers.map((server) => this.at(server).start(name, { owner: 'alice' }, producer.produce)),
    )
    const started = answers.filter((answer) => answer.started)
    expect(started).toHaveLength(before === undefined ? 1 : 0)
    expect(new Set(answers.map(({ id }) => id)).size).toBe(1)
    const { id } = answers[0]!
    if (before !== undefined) {
      expect(id).toBe(before.id)
      return
    }
    this.newest.set(name, { id, name, term: 1, producer, parts: [], end: undefined })
    await producer.began
  }

  private append(name: string, parts: readonly string[]): void {
    const run = this.running(name)
    for (const part of run === undefined ? [] : parts) {
      run!.producer.append(part)
      run!.parts.push(part)
    }
  }

  /** With a part right before the end, which stands in its place. */
  private end(name: string, last: string): void {
    const run = this.running(name)
    if (run === undefined) return
    this.append(name, [last])
    run.producer.end()
    run.end = '"done"'
  }

  private async stop(name: string, server: number): Promise<void> {
    const run = this.newest.get(name)
    const { was } = await this.at(server).stop(name)
    expect(was).toBe(run === undefined ? 'none' : run.end === undefined ? 'running' : 'ended')
    if (run === undefined || run.end !== undefined) return
    // It is stopped, and settles with one part more.
    this.append(name, ['settled'])
    run.producer.end()
    run.end = '"stopped"'
  }

  private async freeze(name: string, server: number): Promise<void> {
    const run = this.running(name)
    if (run === undefined) return
    expect(this.store.pause(this.leaseOf(run), 0)).toBe(true)
    this.lost.push(run.producer)
    run.producer = new Held()
    run.term++
    const { id, started } = await this.at(server).resume(name, run.producer.produce)
    expect({ id, started }).toEqual({ id: run.id, started: true })
    await run.producer.began
  }

  private crash(name: string): void {
    const run = this.running(name)
    if (run === undefined) return
    const end = { kind: 'failed', code: 'server-lost', message: 'Its server is gone.' } as const
    expect(this.store.end(this.leaseOf(run), end)).toBe(true)
    this.lost.push(run.producer)
    run.end = '"server-lost"'
  }

  private wake(which: number): void {
    const producer = this.lost[which]
    try {
      producer?.append('of one that has lost its run')
    } catch (error) {
      // From the second time on it knows.
      expect(error).toMatchObject({ code: 'ERR_UNIFROST_RUN_ENDED' })
    }
  }

  private leaseOf({ id, name, term, parts }: Expected) {
    return { id, key: `x.${name}`, owner: 'alice', term, parts: parts.length, bytes: 0 }
  }

  private ask(name: string, server: number, position?: string, user = 'alice') {
    const headers = position === undefined ? {} : { 'last-event-id': position }
    const handle = this.at(server).fetch(() => name, { principal: () => user })
    return handle(new Request('http://localhost/', { headers }))
  }

  private async read(name: string, server: number): Promise<void> {
    const run = this.newest.get(name)
    const response = await this.ask(name, server)
    expect(response.status).toBe(run === undefined ? 404 : 200)
    if (run === undefined) return
    const page = new Page(run)
    page.open(response)
    this.pages.push(page)
  }

  private async cut({ which, at, server }: Command & { do: 'cut' }): Promise<void> {
    const page = this.pages[which]
    // Without a part of it, it is a page that has not come yet.
    if (page === undefined || page.isOver) return
    await page.cut(at)
    const { position, expected } = page
    if (position === undefined) {
      this.pages.splice(which, 1)
      await this.read(expected.name, server)
      return
    }
    const response = await this.ask(expected.name, server, position)
    expect(response.status).toBe(page.isOver ? 204 : 200)
    if (!page.isOver) page.open(response)
  }

  private async stranger(name: string, server: number): Promise<void> {
    expect((await this.ask(name, server, undefined, 'mallory')).status).toBe(404)
  }
}

/** Until what was appended is written, and read. */
async function written(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await setImmediate()
}
