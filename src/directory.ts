/**
 * The contract between a Streamer and a directory, which remembers the clients of several servers
 * in an engine such as Redis: all that a directory may rely on, and all that it must do.
 *
 * For each client a directory keeps a text, an owner and an expiry time. It does not read the text.
 */

/** Names one version of one entry. It is never used again, not even after the entry was deleted. */
export type Revision = string

/** What a directory keeps of a client. */
export interface Entry {
  /** The client's id: 1 to 256 characters without control characters. It is never logged. */
  readonly id: string
  readonly owner: string | undefined
  readonly text: string
}

/** An entry as it is now. */
export interface Stored {
  readonly text: string
  readonly revision: Revision
}

/**
 * How a question to another server ended: with its answer; `gone` if the engine is sure that no
 * server of that name is running; `silent` if no answer came in time.
 */
export type Outcome = { readonly answer: string } | 'gone' | 'silent'

/** The server that a directory works for. */
export interface DirectoryHost {
  /** Its name, of letters, digits, `-` and `_`. No other server ever has the same name. */
  readonly server: string

  /** Answers another server's question. Never rejects. */
  receive(message: string): Promise<string>

  /**
   * The engine answers: this server has a lease, and other servers' questions reach it. The
   * directory calls it each time after a question, or the lease, may have been lost.
   *
   * @param memory Names the engine's data. It changes when the engine may have lost entries, for
   *   instance after a restart.
   */
  up(memory: string): void

  /** The engine does not answer. The directory keeps trying to reach it. */
  down(error: Error): void

  /**
   * This process was stopped for so long that its lease may have lapsed and other servers may have
   * taken its clients. `up` or `down` follows.
   */
  lapsed(): void
}

/**
 * A connection to an engine that remembers clients. A Streamer has at most one directory.
 *
 * The Streamer may call any method but `open` and `close` at any time, and many at once. Each
 * settles in bounded time. It rejects if the engine does not answer or refuses; the change may have
 * been made all the same.
 */
export interface Directory {
  /**
   * Connects, and reconnects from then on. The Streamer calls it once. It resolves when the engine
   * first answers. It rejects when the first attempt fails, with an error that says what to do; the
   * directory goes on trying.
   *
   * From then until `close`, this server has a lease in the engine. The lease lapses by itself
   * within {@link Directory.lease} milliseconds after the process has died.
   */
  open(host: DirectoryHost): Promise<void>

  /** How long a lease lasts if it is not renewed, in milliseconds. */
  readonly lease: number

  /** The entry of an id, or undefined if there is none or it has expired. */
  get(id: string): Promise<Stored | undefined>

  /**
   * Writes an entry in one atomic step, if its current revision is `revision`. Where that is
   * undefined, it writes only if there is no entry.
   *
   * @param ttl Milliseconds after which the engine deletes the entry by itself.
   * @returns the new revision, or undefined if the entry has another revision, or is gone: then
   *   nothing was written.
   */
  put(entry: Entry, revision: Revision | undefined, ttl: number): Promise<Revision | undefined>

  /**
   * Deletes an entry if its current revision is `revision`.
   *
   * @returns true if it was deleted, or was gone already; false if it has another revision.
   */
  delete(entry: Omit<Entry, 'text'>, revision: Revision): Promise<boolean>

  /** The ids of an owner's entries. Some of the entries may be gone. */
  idsOf(owner: string): Promise<string[]>

  /** The servers that have a lease. */
  servers(): Promise<string[]>

  /** Asks another server. @param timeout How long to wait for the answer, in milliseconds. */
  ask(server: string, message: string, timeout: number): Promise<Outcome>

  /** Gives the lease back and closes all that it opened itself. Calling it again does nothing. */
  close(): Promise<void>
}
