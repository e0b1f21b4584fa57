/**
 * The seam to what remembers clients where there is more than one server. Everything that an
 * engine's directory may rely on, and everything it must keep, is written here.
 *
 * A directory knows nothing of what it keeps: a text for each client, the owner whose it is, and
 * when it may be forgotten.
 */

/** Names one version of one entry, and no other one ever, not even after it was deleted. */
export type Revision = string

/** What is kept of a client. */
export interface Entry {
  /** The client's id: 1 to 256 characters, any but control characters. It is never logged. */
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
 * What became of a question: the answer; `gone`, where the engine is sure that no server of that
 * name listens; or `silent`, where none came in time.
 */
export type Outcome = { readonly answer: string } | 'gone' | 'silent'

/** The server that a directory works for. */
export interface DirectoryHost {
  /** Its name, of letters, digits, `-` and `_`: no other server has it, nor will. */
  readonly server: string

  /** Answers what another server asks. Never rejects. */
  receive(message: string): Promise<string>

  /**
   * The engine is there: this server has a lease, and is asked what others ask. Called after every
   * time in which a question, or the lease, may have been lost.
   *
   * @param memory Names what the engine remembers: another name once it may have forgotten
   *   something, since it was started anew.
   */
  up(memory: string): void

  /** The engine is away; it is tried for again without end. */
  down(error: Error): void

  /**
   * This process has been stopped for so long that its lease may have lapsed and others have taken
   * its clients. `up` or `down` follows.
   */
  lapsed(): void
}

/**
 * An engine that remembers. There is one directory to a Streamer.
 *
 * Each verb but `open` and `close` may be called at any time and as often as needed at once. It
 * settles in bounded time, and rejects where the engine does not answer, or refuses; then the
 * change may or may not have been made.
 */
export interface Directory {
  /**
   * Connects, and keeps connected from then on. Called once. It resolves when the engine is there
   * for the first time; it rejects when the first attempt fails, with an error that says what to
   * do, and goes on trying all the same.
   *
   * From then until `close`, this server has a lease that the engine itself lets lapse, within
   * {@link Directory.lease} milliseconds after the process has gone.
   */
  open(host: DirectoryHost): Promise<void>

  /** How long a lease holds without being renewed, in milliseconds. */
  readonly lease: number

  /** The entry of an id, or undefined where there is none or its time is over. */
  get(id: string): Promise<Stored | undefined>

  /**
   * Writes an entry if it is still at `revision`, or if there is none where that is undefined, in
   * one step that no other write can come into.
   *
   * @param ttl Milliseconds after which the engine itself forgets it.
   * @returns its new revision, or undefined where it was another's, or is gone: nothing has changed.
   */
  put(entry: Entry, revision: Revision | undefined, ttl: number): Promise<Revision | undefined>

  /** Deletes an entry if it is still at `revision`. @returns whether it was, or was gone already. */
  delete(entry: Omit<Entry, 'text'>, revision: Revision): Promise<boolean>

  /** The ids of an owner's entries, some of which may be gone. */
  idsOf(owner: string): Promise<string[]>

  /** The servers that have a lease. */
  servers(): Promise<string[]>

  /** Asks another server. @param timeout How long to wait for its answer, in milliseconds. */
  ask(server: string, message: string, timeout: number): Promise<Outcome>

  /** Gives the lease back and closes everything that it opened itself. Calling it again is a no-op. */
  close(): Promise<void>
}
