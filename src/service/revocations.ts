import { randomUUID } from 'node:crypto'
import type { Timers } from '../clock.js'
import type { Client } from '../delivery/client.js'
import { RevokedError } from '../errors.js'
import { checkOptions, number } from '../option-checks.js'
import type { ClientIndex } from './client-index.js'
import { nameFrom, ownerNamed } from './owner.js'
import type { Labels, Selector, Which } from './selector.js'
import { NO_LABELS, selectorFrom } from './selector.js'

/** How long who was revoked is refused by default, in milliseconds. */
const REFUSED_FOR = 60_000
/** The longest `for`, about 24.8 days in milliseconds. */
const LONGEST = 2 ** 31 - 1

/** Options of `Streamer.revoke`. */
export interface RevokeOptions {
  /**
   * How long requests of who was revoked are refused, in milliseconds. A request whose token was
   * issued later (its `iat`, in a later second) is not. Default: 60,000. 0: nobody is refused, so
   * automatic clients are back a few seconds later.
   */
  for?: number
}

/** Who can be revoked: an owner or a client's id, a principal, or those that {@link Which} means. */
export type Revocable = string | number | bigint | { session: string | number } | Which | object

/** One call of `revoke`, as all servers learn of it. */
export interface Revocation {
  /** Names this call, so that no server carries it out twice. */
  readonly nonce: string
  /** What `name` is: an owner's name or a client's id (`either`), an owner's name, or a label. */
  readonly of: string
  readonly name: string
  /** When it was made, in milliseconds since 1970. */
  readonly at: number
  /** Until when requests are refused, in milliseconds since 1970. */
  readonly until: number
}

/** By what a request may be refused. */
export interface LogIn {
  readonly id?: string | undefined
  readonly owner?: string | undefined
  readonly session?: string | undefined
  /** What a client of this request would be marked with. */
  readonly labels?: Labels | undefined
  /** When its token was issued, in seconds since 1970. */
  readonly issuedAt?: number | undefined
}

/** The arguments of `Streamer.revoke`, checked. @throws OptionsError */
export function revocationFrom(who: unknown, options: RevokeOptions): Revocation {
  checkOptions('revoke', options, { for: number(0, LONGEST) })
  const at = Date.now()
  const until = at + (options.for ?? REFUSED_FOR)
  const rest = { nonce: randomUUID(), at, until }
  const keys = typeof who === 'object' && who !== null ? Object.keys(who) : []
  // A principal may have nothing but its `id` or `sub`.
  const isPrincipal = keys.length !== 1 || keys[0] === 'id' || keys[0] === 'sub'
  if (isPrincipal) return { ...rest, of: 'either', name: ownerNamed('revoke', who) }
  const named = Object.entries(who as object).map(([key, value]): [string, unknown] => [
    key,
    nameFrom(value) ?? value,
  ])
  const { name: of, value: name } = selectorFrom('revoke', Object.fromEntries(named))
  return { ...rest, of, name }
}

/** Whether a value that was read somewhere is a revocation. */
export function isRevocation(value: unknown): value is Revocation {
  if (typeof value !== 'object' || value === null) return false
  const { nonce, of, name, at, until } = value as Record<string, unknown>
  if (typeof nonce !== 'string' || typeof name !== 'string' || name === '') return false
  return typeof of === 'string' && of !== '' && Number.isFinite(at) && Number.isFinite(until)
}

/** What counts for one owner, client's id or session: its last revocation, and the latest end. */
interface Ban {
  at: number
  /** Until when, by the clock. */
  until: number
}

/** The revocations that this server knows, and the log-ins that its clients came with. */
export class Revocations {
  private readonly known = new Map<string, Revocation>()
  private readonly bans = new Map<string, Ban>()
  private readonly logIns = new WeakMap<Client, LogIn>()

  constructor(
    private readonly timers: Timers,
    private readonly index: ClientIndex,
  ) {}

  /** The revocations that still refuse requests. */
  get active(): Revocation[] {
    return [...this.known.values()].filter(({ until }) => until > Date.now())
  }

  /**
   * Refuses who was revoked from now on.
   *
   * @param memory How long the revocation is known at least, in milliseconds.
   * @returns false if it is known already.
   */
  learn(revocation: Revocation, memory = 0): boolean {
    const { nonce, at, until } = revocation
    if (this.known.has(nonce)) return false
    const left = Math.min(Math.max(until - Date.now(), 0), LONGEST)
    const key = keyOf(revocation)
    const former = this.bans.get(key)
    const ban = {
      at: Math.max(at, former?.at ?? 0),
      until: Math.max(this.timers.clock.now() + left, former?.until ?? 0),
    }
    this.known.set(nonce, revocation)
    this.bans.set(key, ban)
    this.timers.after(Math.max(left, memory), () => {
      this.known.delete(nonce)
      if (this.bans.get(key) === ban) this.bans.delete(key)
    })
    return true
  }

  /** @throws RevokedError if who sends the request was revoked. */
  check(logIn: LogIn): void {
    if (this.refuses(logIn)) throw new RevokedError()
  }

  refuses({ id, owner, session, labels = NO_LABELS, issuedAt }: LogIn): boolean {
    if (this.bans.size === 0) return false
    const whose = [
      ...Object.entries(labels),
      ['either', id],
      ['either', owner],
      ['owner', owner],
      ['session', session],
    ] as const
    return whose.some(([of, name]) => {
      const ban = name === undefined ? undefined : this.bans.get(keyOf({ of, name }))
      if (ban === undefined || ban.until <= this.timers.clock.now()) return false
      // `iat` counts in seconds, so a token of the same second may be the one that was revoked.
      return !(issuedAt !== undefined && issuedAt > Math.floor(ban.at / 1000))
    })
  }

  /** Notes with which log-in a client came. */
  note(client: Client, logIn: LogIn): void {
    this.logIns.set(client, logIn)
  }

  /** Whether the log-in that a client came with is refused by now. */
  refusesClient(client: Client): boolean {
    const logIn = this.logIns.get(client)
    return logIn !== undefined && this.refuses(logIn)
  }

  /** The clients that a revocation ends. */
  clientsOf({ of, name }: Revocation): Client[] {
    if (of !== 'either') return this.select({ name: of, value: name })
    const named = ['id', 'owner'].flatMap((by) => this.index.select({ name: by, value: name }))
    return [...new Set(named)]
  }

  /** The clients that are meant; all, where no selector says which. */
  select(which: Selector | undefined): Client[] {
    if (which === undefined) return this.index.all()
    const marked = this.index.select(which)
    if (which.name !== 'session') return marked
    const came = this.index
      .all()
      .filter((client) => this.logIns.get(client)?.session === which.value)
    return [...new Set([...marked, ...came])]
  }
}

function keyOf({ of, name }: Pick<Revocation, 'of' | 'name'>): string {
  return `${of} ${name}`
}
