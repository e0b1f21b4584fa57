import { SignJWT } from 'jose'
import { loadFile } from '../config/load.js'
import { durationFrom } from '../config/quantities.js'
import { shownPath } from './check.js'
import type { Context, Options } from './context.js'
import { neededFile, UsageError } from './context.js'

/** Prints a token of an issuer whose secret the file has. */
export async function token(options: Options, context: Context): Promise<number> {
  const { sub, expires = '1h', claim = [], issuer } = options
  if (sub === undefined || sub === '')
    throw new UsageError('token takes --sub NAME: the user whose token it is.')
  const lifetime = durationFrom(expires)
  if (lifetime === undefined || lifetime < 1_000)
    throw new UsageError('--expires takes a time such as 10m or 1h.')
  const { config } = loadFile(shownPath(neededFile(options, context), context), context.env)
  const signers = (config.auth?.issuers ?? []).filter((it) => it.secret !== undefined)
  const signer = issuer === undefined ? signers[0] : signers.find((it) => it.issuer === issuer)
  if (signer === undefined) {
    const known = signers.map((it) => it.issuer).join(', ')
    throw new UsageError(
      known === ''
        ? 'The file has no issuer with a secret. A token of an issuer with jwks comes from that issuer.'
        : `The file has no issuer ${JSON.stringify(issuer)} with a secret. It has ${known}.`,
    )
  }
  const audience = options.audience ?? signer.audience[0]!
  const signed = await new SignJWT({ ...Object.fromEntries(claim.map(claimFrom)) })
    .setProtectedHeader({ alg: signer.algorithms[0]!, typ: 'JWT' })
    .setIssuer(signer.issuer)
    .setAudience(audience)
    .setSubject(sub)
    .setIssuedAt()
    .setExpirationTime(new Date(Date.now() + lifetime))
    .sign(new TextEncoder().encode(signer.secret))
  context.out(`${signed}\n`)
  return 0
}

/** `role=admin`, `topics=["news"]`: a value that is JSON is taken as such. */
function claimFrom(text: string): [string, unknown] {
  const [, name, value] = /^([^=]+)=(.*)$/s.exec(text) ?? []
  if (name === undefined || value === undefined) throw new UsageError('--claim takes NAME=VALUE.')
  try {
    return [name, JSON.parse(value) as unknown]
  } catch (error) {
    if (error instanceof SyntaxError) return [name, value]
    throw error
  }
}
