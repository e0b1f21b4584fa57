import type { Timers } from '../clock.js'
import type { Directory, DirectoryHost, Entry, Outcome, Revision, Stored } from '../directory.js'

/** How long calls wait for the directory's first connection, in milliseconds after `open`. */
const FIRST_OPENING = 5_000

/**
 * A directory whose calls wait until its first attempt to connect has ended, for at most five
 * seconds. Otherwise a server that has just begun to listen would refuse the clients that come to
 * it first: at a rolling restart those that another server has sent away. An example: the server
 * listens after 10 ms, a client comes with its id after 20 ms, the directory answers after 200 ms;
 * the client has its stream after 200 ms.
 *
 * Later outages are not waited for: a call then fails as the directory says.
 */
export class OpenedDirectory implements Directory {
  private opening: Promise<void> | undefined
  private begin: () => void = () => undefined

  constructor(
    private readonly directory: Directory,
    private readonly timers: Timers,
  ) {
    this.opening = new Promise((resolve) => {
      this.begin = () => {
        this.opening = undefined
        resolve()
      }
    })
  }

  get lease(): number {
    return this.directory.lease
  }

  async open(host: DirectoryHost): Promise<void> {
    const bound = this.timers.after(FIRST_OPENING, this.begin)
    try {
      await this.directory.open(host)
    } finally {
      this.timers.cancel(bound)
      this.begin()
    }
  }

  /** Has no call wait any longer. */
  stopWaiting(): void {
    this.begin()
  }

  async get(id: string): Promise<Stored | undefined> {
    await this.opening
    return this.directory.get(id)
  }

  async put(
    entry: Entry,
    revision: Revision | undefined,
    ttl: number,
  ): Promise<Revision | undefined> {
    await this.opening
    return this.directory.put(entry, revision, ttl)
  }

  async delete(entry: Omit<Entry, 'text'>, revision: Revision): Promise<boolean> {
    await this.opening
    return this.directory.delete(entry, revision)
  }

  async idsOf(owner: string): Promise<string[]> {
    await this.opening
    return this.directory.idsOf(owner)
  }

  async servers(): Promise<string[]> {
    await this.opening
    return this.directory.servers()
  }

  async ask(server: string, message: string, timeout: number): Promise<Outcome> {
    await this.opening
    return this.directory.ask(server, message, timeout)
  }

  close(): Promise<void> {
    this.begin()
    return this.directory.close()
  }
}
