import { SignJWT } from 'jose'
import { loadText } from '../../src/server/config/load.js'
import { UnifrostServer } from '../../src/server/server.js'
import type { ServerParts } from '../../src/server/server.js'

const ignore = () => undefined
const silent = { debug: ignore, info: ignore, warn: ignore, error: ignore }

export const SECRET = 'a-secret-of-at-least-thirty-two-bytes'
export const KEY = 'a-publish-key-of-24-chars'

/** An `auth` section whose tokens `tokenFor` makes. */
export const AUTH = `auth: { cookie: token, issuers: [{ issuer: me, audience: us, algorithms: [HS256], secret: ${SECRET} }] }\n`

/** A token of the issuer of `AUTH`, or as `claims` and `secret` say otherwise. */
export function tokenFor(claims: Record<string, unknown>, secret = SECRET): Promise<string> {
  const all = { iss: 'me', aud: 'us', exp: Math.floor(Date.now() / 1_000) + 600, ...claims }
  const key = new TextEncoder().encode(secret)
  return new SignJWT(all).setProtectedHeader({ alg: 'HS256' }).sign(key)
}

/** A server in this process, on free ports. */
export async function serving(text: string, parts: Partial<ServerParts> = {}) {
  const ports = 'listen: { host: 127.0.0.1, port: 0 }\ndrain: { over: 0 }\n'
  const loaded = loadText('test.yaml', `${ports}${text}`, {}, __dirname)
  const server = await UnifrostServer.start(loaded, { logger: silent, ...parts })
  const url = `http://127.0.0.1:${server.ports.listen}`
  const publish = (body: unknown, headers: Record<string, string> = {}) =>
    fetch(`${url}/publish`, {
      method: 'POST',
      headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    })
  return { server, url, publish }
}
