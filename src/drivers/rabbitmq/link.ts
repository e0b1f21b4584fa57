import type { Subscription } from '../../driver.js'
import { Backoff } from '../../driver-kit/backoff.js'
import { within } from '../../driver-kit/within.js'
import { CLOSE_TIMEOUT, discard, reasonOf } from './connection.js'
import type { Origin, RabbitConnection } from './connection.js'
import { explain, Session } from './session.js'
import type { Binding, SessionSettings } from './session.js'

export interface LinkSettings extends SessionSettings {
  /** Milliseconds. */
  readonly connectTimeout: number
  /** Milliseconds. */
  readonly subscribeTimeout: number
}

/** The link to RabbitMQ, and what has to be bound anew when it was lost and is back. */
export class Link {
  readonly #backoff = new Backoff()
  readonly #bound = new Set<Binding>()
  readonly #aborting = new AbortController()
  readonly #isClosing = new Promise<'late'>((resolve) => {
    this.#aborting.signal.addEventListener('abort', () => resolve('late'))
  })
  /** Connections, or channels on a brought one, that are on their way out. */
  readonly #closing = new Set<Promise<void>>()
  #session: Session | undefined
  /** Closes what the session is on. */
  #drop: () => Promise<void> = async () => undefined
  #opening: Promise<Session> | undefined
  #recovering = false
  /** The last thing that went wrong with the link. */
  #trouble: unknown
  #wake: () => void = () => undefined
  #unwatch: (() => void) | undefined
  #closed: Promise<void> | undefined

  constructor(
    private readonly origin: Origin,
    private readonly settings: LinkSettings,
  ) {}

  /** Connects, unless it has. */
  async connect(): Promise<void> {
    const ready = this.#ready()
    // An address has its own bound; a brought connection may be waiting for its own recovery.
    if (!this.origin.brought) await ready
    else if ((await within(ready, this.settings.connectTimeout)) === 'late') throw this.#noChannel()
    else await ready
  }

  /** Binds, and keeps it bound from when the promise resolves. */
  async open(binding: Binding): Promise<Subscription> {
    // How long connecting takes is bounded by itself; waiting for a link to come back is not.
    if (!this.#recovering) await this.connect()
    const bound = this.#bind(binding).then(() => 'bound' as const)
    const outcome = await within(bound, this.settings.subscribeTimeout)
    if (outcome === 'failed') await bound
    if (outcome === 'late') {
      void this.#unbind(binding)
      throw this.#unconfirmed(binding)
    }
    return { close: () => this.#unbind(binding) }
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#aborting.abort()
    this.#wake()
    if (this.#opening !== undefined) await within(this.#opening, CLOSE_TIMEOUT)
    await this.#drop()
    await Promise.all(this.#closing)
    this.#unwatch?.()
  }

  async #bind(binding: Binding): Promise<void> {
    for (;;) {
      const session = await this.#ready()
      if (binding.closed) throw closedError()
      try {
        await session.bind(binding)
      } catch (error) {
        if (session.over === undefined) throw explain(error, binding, this.settings)
      }
      if (session.over !== undefined) continue
      if (!binding.closed) this.#bound.add(binding)
      return
    }
  }

  async #unbind(binding: Binding): Promise<void> {
    binding.closed = true
    this.#bound.delete(binding)
    // What a driver that is being closed holds goes all at once.
    if (this.#closed === undefined && this.#session !== undefined) {
      await within(this.#session.release(binding), CLOSE_TIMEOUT)
    }
  }

  #ready(): Promise<Session> {
    if (this.#closed !== undefined) return Promise.reject(closedError())
    if (this.#opening !== undefined) return this.#opening
    if (this.#session !== undefined) return Promise.resolve(this.#session)
    return this.#follow(this.#open())
  }

  #follow(opening: Promise<Session>): Promise<Session> {
    this.#opening = opening
    const settle = () => {
      if (this.#opening === opening) this.#opening = undefined
    }
    opening.then(settle, settle)
    return opening
  }

  async #open(): Promise<Session> {
    const { origin, settings } = this
    const connection = await origin.connect(this.#aborting.signal)
    this.#watch(connection)
    const opening = Session.open(connection, settings, (session) => this.#lost(session))
    // A brought connection may take as long as it likes: nothing is gained by asking again.
    const session = await (origin.brought
      ? Promise.race([opening.catch(() => 'failed' as const), this.#isClosing])
      : within(opening, settings.connectTimeout))
    const isOpen = session instanceof Session && session.over === undefined
    if (isOpen && this.#closed === undefined) {
      this.#session = session
      this.#drop = () => (origin.brought ? session.close() : discard(connection))
      return session
    }
    if (!origin.brought) this.#track(discard(connection))
    else {
      const dropped = opening.then(
        (late) => late.close(),
        () => undefined,
      )
      if (session !== 'late') this.#track(dropped)
    }
    if (this.#closed !== undefined) throw closedError()
    if (session === 'late') throw this.#noChannel()
    throw this.#refused(
      await opening.then(
        ({ over }) => over,
        (cause: unknown) => cause,
      ),
    )
  }

  /** What a connection says of itself is the best reason there is; unheard, it would be thrown. */
  #watch(connection: RabbitConnection): void {
    if (this.#unwatch !== undefined) return
    const hear = (error: unknown) => {
      if (error !== undefined) this.#trouble = error
    }
    connection.on('error', hear)
    connection.on('close', hear)
    if (!this.origin.brought) return
    this.#unwatch = () => {
      connection.removeListener('error', hear)
      connection.removeListener('close', hear)
    }
  }

  #lost(session: Session): void {
    if (this.#session !== session || this.#closed !== undefined) return
    this.#session = undefined
    this.#trouble = session.over
    // Not yet: the library is in the middle of closing it, and would wait for an answer.
    this.#track(Promise.resolve().then(this.#drop))
    this.#drop = async () => undefined
    if (!this.#recovering) void this.#follow(this.#recover())
  }

  /** Until the link is back with all that was bound, or can't be had again. */
  async #recover(): Promise<Session> {
    this.#recovering = true
    let reason: string | undefined
    try {
      for (;;) {
        await this.#pause(this.#backoff.next())
        if (this.#closed !== undefined) throw closedError()
        reason ??= reasonOf(this.#trouble)
        const session = await this.#open().catch((error: unknown) => this.#again(error))
        if (session === undefined) continue
        const what = `The link to RabbitMQ at ${this.origin.where} was lost (${reason}) and is back.`
        await Promise.all([...this.#bound].map((binding) => this.#restore(session, binding, what)))
        if (session.over !== undefined) continue
        this.#backoff.reset()
        return session
      }
    } finally {
      this.#recovering = false
    }
  }

  /** Whether there is a point in trying again. A brought connection that is closed stays so. */
  #again(error: unknown): undefined {
    this.#trouble = error
    if (!this.origin.brought && this.#closed === undefined) return
    for (const binding of this.#bound) {
      this.#bound.delete(binding)
      binding.events.fail(error as Error)
    }
    throw error
  }

  async #restore(session: Session, binding: Binding, missed: string): Promise<void> {
    try {
      await session.bind(binding, missed)
    } catch (error) {
      if (session.over !== undefined || !this.#bound.delete(binding)) return
      binding.events.fail(explain(error, binding, this.settings))
    }
  }

  #pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #track(closing: Promise<void>): void {
    const tracked = closing
      .catch((error: unknown) => (this.#trouble = error))
      .then(() => void this.#closing.delete(tracked))
    this.#closing.add(tracked)
  }

  #refused(cause: unknown): Error {
    const text = `${this.origin.where} opened no channel (${reasonOf(cause)}).`
    const hint = this.origin.brought
      ? 'If it was closed, it does not come back: make a new driver with a new one, or give ' +
        'rabbitmqDriver an address or a function that makes connections.'
      : 'Try again.'
    return new Error(`RabbitMQ: ${text} ${hint}`, { cause })
  }

  #noChannel(): Error {
    return new Error(
      `RabbitMQ at ${this.origin.where} opened no channel within ` +
        `${this.settings.connectTimeout} ms. Check that it is up and reachable.`,
    )
  }

  #unconfirmed({ exchange, routingKey }: Binding): Error {
    const { where, subscribeTimeout } = this.settings
    if (this.#recovering) {
      return new Error(
        `The link to RabbitMQ at ${where} is lost and was not back within ${subscribeTimeout} ms ` +
          `(${reasonOf(this.#trouble)}). Check that it is up and reachable.`,
        { cause: this.#trouble },
      )
    }
    return new Error(
      `RabbitMQ at ${where} did not bind ${JSON.stringify(routingKey)} of the exchange ` +
        `${JSON.stringify(exchange)} within ${subscribeTimeout} ms. Check that it is reachable.`,
    )
  }
}

export function closedError(): Error {
  return new Error('This RabbitMQ driver has been closed. Make a new one.')
}
