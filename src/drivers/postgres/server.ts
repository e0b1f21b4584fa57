import type { ClientConfig } from 'pg'
import { inTime, loadPeer, whenAbsent, shownAddress, within } from '../../driver-kit/index.js'
import type { ConnectAttempt } from '../../driver-kit/index.js'
import { OptionsError } from '../../errors.js'
import { standbyError } from './errors.js'
import { Session } from './session.js'
import type { PostgresClient } from './session.js'

/**
 * Where PostgreSQL is and how to get in. It is handed to `pg.Client` as it is, so a `pg.ClientConfig`
 * with whatever else that takes will do.
 */
export interface PostgresConfig {
  /**
   * `postgres://user:password@host:5432/database`, instead of the host, the user, the password and the
   * database below: what it does not say is not taken from there.
   */
  connectionString?: string | undefined
  /** A host's name or address, or the folder of a Unix socket. */
  host?: string | undefined
  /** Default: 5432. */
  port?: number | undefined
  user?: string | undefined
  /** A function is called for each connection. */
  password?: string | (() => string | Promise<string>) | undefined
  database?: string | undefined
  /** True for TLS, or Node's options for it. */
  ssl?: unknown
  /** How the connection is called in `pg_stat_activity`. Default: `unifrost`. */
  application_name?: string | undefined
}

/** A PostgreSQL server, or a client of the user's. */
export interface PostgresServer {
  /** Its host and port, for errors. */
  readonly where: string
  /** Whether a lost connection is followed by another. A client of the user's can't come back. */
  readonly comesBack: boolean
  /** What to do where it is not there. */
  readonly hint: string
  /** Loads the library. */
  prepare(): Promise<void>
  open(attempt: ConnectAttempt): Promise<Session>
  /** Ends a session of `open`. */
  end(session: Session): Promise<unknown>
}

/** How long PostgreSQL may take to say goodbye, in milliseconds. */
const GOODBYE = 500

/** Makes sense of what the driver was given. Throws an `OptionsError` for what makes none. */
export function postgresServer(target: PostgresClient | PostgresConfig | string): PostgresServer {
  if (isClient(target)) return broughtClient(target)
  const config = typeof target === 'string' ? { connectionString: target } : target
  return ownClients(config, whereOf(config))
}

function isClient(target: unknown): target is PostgresClient {
  const { query, on, totalCount } = (target ?? {}) as Record<string, unknown>
  if (totalCount !== undefined) {
    throw new OptionsError(
      'postgresDriver got a pool, whose connections go from one query to the next. It needs a ' +
        "connection of its own: give it the pool's settings.",
    )
  }
  return typeof query === 'function' && typeof on === 'function'
}

/** A client that somebody has connected. It is used as it is and never closed. */
function broughtClient(client: PostgresClient): PostgresServer {
  // One session at a time, so that what the last one takes back is not what the next one asks for.
  let leaving: Promise<unknown> = Promise.resolve()
  const end = (session: Session) => (leaving = session.leave())
  return {
    where: 'the given client',
    comesBack: false,
    hint:
      "It has to be connected, and can't come back once its connection is lost: make a new client " +
      'and a new driver, or give the address and let the driver connect.',
    prepare: async () => undefined,
    async open({ signal }) {
      await leaving.catch(() => undefined)
      signal.throwIfAborted()
      const session = new Session(client)
      try {
        // A client that is not connected keeps a query until it is.
        await inTime(checkPrimary(client), Infinity, undefined, signal)
        return session
      } catch (error) {
        end(session).catch(() => undefined)
        throw error
      }
    },
    end,
  }
}

function ownClients(config: PostgresConfig, where: string): PostgresServer {
  let library: typeof import('pg')
  const endings = new WeakMap<Session, () => Promise<unknown>>()
  return {
    where,
    comesBack: true,
    hint: 'Start it, or correct the address.',
    async prepare() {
      library = await loadPeer('postgresDriver', 'pg', importPg)
    },
    async open({ signal }) {
      const settings = { fallback_application_name: 'unifrost', ...config } as ClientConfig
      const client = new library.Client(settings)
      const session = new Session(client)
      const cutOff = () => client.connection.stream.destroy()
      signal.addEventListener('abort', cutOff, { once: true })
      void session.lost.then(cutOff)
      endings.set(session, async () => {
        await within(client.end(), GOODBYE)
        cutOff()
      })
      try {
        await client.connect()
        await checkPrimary(client)
        return session
      } catch (error) {
        cutOff()
        throw error
      } finally {
        signal.removeEventListener('abort', cutOff)
      }
    },
    end: async (session) => endings.get(session)?.(),
  }
}

/** Throws where LISTEN is impossible, so that it is known before there is a topic. */
async function checkPrimary(client: PostgresClient): Promise<void> {
  const answer = await client.query('SELECT pg_is_in_recovery() AS standby')
  const { rows } = answer as { rows: { standby: boolean }[] }
  if (rows[0]?.standby) throw standbyError()
}

/** Host and port. Throws an `OptionsError` for an address that makes no sense. */
function whereOf(config: PostgresConfig): string {
  const { connectionString, host, port = 5432 } = config ?? {}
  if (typeof connectionString === 'string') {
    const url = URL.canParse(connectionString) ? new URL(connectionString) : undefined
    if (url?.hostname && /^postgres(ql)?:$/.test(url.protocol)) {
      return `${decodeURIComponent(url.hostname)}:${url.port || 5432}`
    }
  } else if (typeof host === 'string' && host !== '') {
    return host.startsWith('/') ? host : `${host}:${port}`
  }
  throw new OptionsError(
    `postgresDriver got ${shownAddress(connectionString ?? config)} as the address. It takes ` +
      'postgres://user:password@host:5432/database, settings of pg with host or ' +
      'connectionString, or a connected pg.Client.',
  )
}

async function importPg() {
  try {
    return await import('pg')
  } catch (error) {
    return whenAbsent('pg', error)
  }
}
