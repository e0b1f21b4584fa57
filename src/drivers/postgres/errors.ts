import { connectError, reasonOf } from '../../driver-kit/index.js'

/** PostgreSQL's codes: https://www.postgresql.org/docs/current/errcodes-appendix.html */
const REFUSES_PASSWORD = '28P01'
const REFUSES_USER = '28000'
const NO_SUCH_DATABASE = '3D000'
const NO_RIGHT = '42501'
const NO_ROOM = '53300'
const STANDBY = '25006'

const LOGIN_REFUSED = /28P01|28000|SASL|password/i

/** A standby takes every query but LISTEN. Its code is the one that PostgreSQL gives to LISTEN. */
export function standbyError(): Error {
  return Object.assign(new Error('it is a standby, in recovery'), { code: STANDBY })
}

/** Whether another attempt to connect would be refused as well, until somebody changes something. */
export function isRefusal(error: unknown): boolean {
  return [REFUSES_PASSWORD, REFUSES_USER, NO_SUCH_DATABASE, NO_RIGHT].includes(codeOf(error))
}

/** The error of an attempt to connect, with what to do about it. */
export function explained(where: string, cause: unknown, unreachable: string): Error {
  const told = (what: string, help: string) =>
    new Error(`PostgreSQL at ${where} ${what} (${reasonOf(cause)}). ${help}`, { cause })
  switch (codeOf(cause)) {
    case NO_SUCH_DATABASE:
      return told('has no such database', 'Create it, or correct its name in the address.')
    case NO_RIGHT:
      return told('does not let this user into the database', 'GRANT CONNECT ON DATABASE to it.')
    case NO_ROOM:
      return told('takes no more connections', 'Raise max_connections, or close some.')
    case STANDBY:
      return told("can't LISTEN", 'Give the address of the primary.')
    default:
      return connectError('PostgreSQL', where, cause, {
        credentials:
          'Check user and password, and pg_hba.conf. A server that takes TLS only needs ssl in the ' +
          'settings, or sslmode in the address.',
        tls: 'Check ssl in the settings, or sslmode in the address, and the certificates.',
        refusal: LOGIN_REFUSED,
        unreachable,
      })
  }
}

/**
 * What PostgreSQL itself has against a channel, and would have again. Undefined where the link
 * failed, or the server was about to end (class 57), without resources (53) or in recovery (25).
 */
export function channelError(where: string, channel: string, error: unknown): Error | undefined {
  const { severity } = error as { severity?: string }
  if (severity === undefined || /^(08|25|53|57)/.test(codeOf(error))) return undefined
  const what = `PostgreSQL at ${where} refused LISTEN on ${JSON.stringify(channel)}`
  return new Error(`${what} (${reasonOf(error)}). Check that it has LISTEN and NOTIFY.`, {
    cause: error,
  })
}

function codeOf(error: unknown): string {
  return (error as { code?: string } | undefined)?.code ?? ''
}
