import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import request from 'supertest'
import type { JwtOptions } from 'unifrost/express'
import { authenticate, jwt } from 'unifrost/express'

const secret = 'a secret of at least 32 characters!'
const key = new TextEncoder().encode(secret)

function sign(claims: Record<string, unknown> = {}, expires = '1h'): Promise<string> {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('alice')
    .setExpirationTime(expires)
    .sign(key)
}

function app(options: JwtOptions): express.Express {
  const server = express()
  server.use(authenticate({ verify: jwt(options) }))
  server.use((incoming, response) => {
    response.json((incoming as unknown as { auth: unknown }).auth)
  })
  return server
}

const ask = (server: express.Express, token: string) =>
  request(server).get('/').set('authorization', `Bearer ${token}`)

test('the payload of a valid token is the principal', async () => {
  const answer = await ask(app({ secret }), await sign({ role: 'reader' }))
  expect(answer.status).toBe(200)
  expect(answer.body).toMatchObject({ sub: 'alice', role: 'reader' })
})

test.each([
  ['no token at all', async () => 'nonsense'],
  ['an expired token', () => sign({}, '-1h')],
  ['another key', () => new SignJWT({}).setProtectedHeader({ alg: 'HS256' }).sign(key.slice(1))],
  ['the algorithm none', async () => `${btoa('{"alg":"none"}')}.${btoa('{"sub":"alice"}')}.`],
  [
    'an algorithm that was not asked for',
    () => new SignJWT({}).setProtectedHeader({ alg: 'HS384' }).sign(key),
  ],
])('%s gets 401', async (_what, token) => {
  const answer = await ask(app({ secret }), await token())
  expect(answer.status).toBe(401)
  expect(answer.headers['www-authenticate']).toBe('Bearer error="invalid_token"')
  expect(answer.body).toMatchObject({ error: { code: 'ERR_UNIFROST_UNAUTHENTICATED' } })
})

test('issuer and audience must be those of the options', async () => {
  const server = app({ secret, issuer: 'us', audience: 'events' })
  expect((await ask(server, await sign({ iss: 'us', aud: 'events' }))).status).toBe(200)
  expect((await ask(server, await sign({ iss: 'them', aud: 'events' }))).status).toBe(401)
  expect((await ask(server, await sign({ iss: 'us', aud: 'mail' }))).status).toBe(401)
})

test('the issuer’s keys are fetched; if that fails, the error is not the token’s', async () => {
  const pair = await generateKeyPair('RS256', { extractable: true })
  const jwk = { ...(await exportJWK(pair.publicKey)), kid: 'k1', alg: 'RS256' }
  const issuer = createServer((_request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ keys: [jwk] }))
  })
  await new Promise<void>((resolve) => issuer.listen(0, '127.0.0.1', resolve))
  const jwksUrl = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}/keys`
  const token = await new SignJWT({})
    .setProtectedHeader({ alg: 'RS256', kid: 'k1' })
    .setSubject('alice')
    .sign(pair.privateKey)
  expect((await ask(app({ jwksUrl }), token)).status).toBe(200)
  expect((await ask(app({ publicKey: pair.publicKey }), token)).status).toBe(200)
  issuer.closeAllConnections()
  await new Promise((resolve) => issuer.close(resolve))
  const away = await ask(app({ jwksUrl }), token)
  expect(away.status).toBe(500)
  expect(away.text).not.toContain('127.0.0.1')
})

test.each([
  ['nothing', {}],
  ['two keys', { secret, jwksUrl: 'https://issuer.test/keys' }],
  ['an empty secret', { secret: '' }],
])('%s is refused at set-up', (_what, options) => {
  expect(() => jwt(options)).toThrow('jwt')
})
