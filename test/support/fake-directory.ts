import type {
  Directory,
  DirectoryHost,
  Entry,
  Outcome,
  Revision,
  Stored,
} from '../../src/directory.js'
import { DirectoryUnavailableError } from '../../src/errors.js'

interface Kept {
  text: string
  owner: string | undefined
  revision: Revision
  due: number
}

/**
 * An engine in this process, for what a real one can't be made to do at a given moment: be away,
 * or answer late.
 */
export class FakeEngine {
  readonly entries = new Map<string, Kept>()
  readonly hosts = new Map<string, DirectoryHost>()
  /** Servers that are stopped: they hold a lease, and answer nothing. */
  readonly stopped = new Set<string>()
  /** What they were asked meanwhile. */
  readonly unread: { server: string; message: string }[] = []
  /** What each verb waits for before it is done. */
  gate: (verb: string, server: string) => Promise<void> = async () => undefined
  /** How often each verb was called. */
  readonly calls = new Map<string, number>()
  memory = 1
  private away = false
  private last = 0

  directory(): FakeDirectory {
    return new FakeDirectory(this)
  }

  /** As if the engine were killed; with what it knows, or without. */
  goAway({ forgetting = false } = {}): void {
    this.away = true
    if (forgetting) {
      this.entries.clear()
      this.memory++
    }
    for (const host of this.hosts.values()) host.down(new Error('The fake engine is away.'))
  }

  comeBack(): void {
    this.away = false
    for (const host of this.hosts.values()) host.up(String(this.memory))
  }

  async call(verb: string, server: string): Promise<void> {
    this.calls.set(verb, (this.calls.get(verb) ?? 0) + 1)
    await this.gate(verb, server)
    if (this.away) throw new DirectoryUnavailableError(new Error('The fake engine is away.'))
  }

  nextRevision(): Revision {
    return String(++this.last)
  }

  live(id: string): Kept | undefined {
    const kept = this.entries.get(id)
    if (kept === undefined || kept.due > performance.now()) return kept
    this.entries.delete(id)
    return undefined
  }
}

/** One server's view of a {@link FakeEngine}. */
export class FakeDirectory implements Directory {
  readonly lease = 1_000
  private host: DirectoryHost | undefined
  private closed = false

  constructor(private readonly engine: FakeEngine) {}

  async open(host: DirectoryHost): Promise<void> {
    this.host = host
    this.engine.hosts.set(host.server, host)
    await this.call('open')
    host.up(String(this.engine.memory))
  }

  async get(id: string): Promise<Stored | undefined> {
    await this.call('get')
    const kept = this.engine.live(id)
    return kept && { text: kept.text, revision: kept.revision }
  }

  async put(
    { id, owner, text }: Entry,
    revision: Revision | undefined,
    ttl: number,
  ): Promise<Revision | undefined> {
    await this.call('put')
    if (this.engine.live(id)?.revision !== revision) return undefined
    const next = this.engine.nextRevision()
    const due = performance.now() + ttl
    this.engine.entries.set(id, { text, owner, revision: next, due })
    return next
  }

  async delete({ id }: Omit<Entry, 'text'>, revision: Revision): Promise<boolean> {
    await this.call('delete')
    const kept = this.engine.live(id)
    if (kept !== undefined && kept.revision !== revision) return false
    this.engine.entries.delete(id)
    return true
  }

  async idsOf(owner: string): Promise<string[]> {
    await this.call('idsOf')
    return [...this.engine.entries].filter(([, kept]) => kept.owner === owner).map(([id]) => id)
  }

  async servers(): Promise<string[]> {
    await this.call('servers')
    return [...this.engine.hosts.keys()]
  }

  async ask(server: string, message: string, timeout: number): Promise<Outcome> {
    await this.call('ask')
    const host = this.engine.hosts.get(server)
    if (host === undefined) return 'gone'
    if (this.engine.stopped.has(server)) {
      // As pub/sub does: it waits for the server to read on, and nobody waits for the answer.
      this.engine.unread.push({ server, message })
      return 'silent'
    }
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<'silent'>((resolve) => {
      timer = setTimeout(() => resolve('silent'), timeout)
    })
    const answer = host.receive(message).then((text) => ({ answer: text }))
    try {
      return await Promise.race([answer, late])
    } finally {
      clearTimeout(timer)
    }
  }

  async close(): Promise<void> {
    this.closed = true
    if (this.host !== undefined) this.engine.hosts.delete(this.host.server)
  }

  private async call(verb: string): Promise<void> {
    if (this.closed) throw new DirectoryUnavailableError(new Error('It is closed.'))
    await this.engine.call(verb, this.host?.server ?? '')
  }
}
