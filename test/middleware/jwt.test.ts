import { createSecretKey, generateKeyPairSync } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import request from 'supertest'
import { memoryDriver, OptionsError, Streamer } from 'unifrost'
import type { JwtOptions } from 'unifrost/express'
import { authenticate, clients, jwt, unifrostExpress } from 'unifrost/express'

const secret = 'a secret of at least 32 characters!'
const key = new TextEncoder().encode(secret)

function sign(
  claims: Record<string, unknown> = {},
  expires: string | Date = '1h',
): Promise<string> {
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
  expect(away.status).toBe(503)
  expect(away.headers['retry-after']).toBe('5')
  expect(away.text).not.toContain('127.0.0.1')
})

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const pem = rsa.publicKey.export({ type: 'spki', format: 'pem' }) as string
const jwksUrl = 'https://issuer.test/keys'

test.each<[string, object]>([
  ['nothing', {}],
  ['two keys', { secret, jwksUrl }],
  ['an empty secret', { secret: '' }],
  ['a secret under 32 bytes', { secret: 'x'.repeat(31) }],
  ['a secret of short bytes', { secret: new Uint8Array(31) }],
  ['a public key as the secret', { secret: pem }],
  ['a public key’s bytes as the secret', { secret: Buffer.from(pem) }],
  ['text as the public key', { publicKey: pem }],
  ['a private key', { publicKey: rsa.privateKey }],
  ['a secret as the public key', { publicKey: createSecretKey(Buffer.alloc(32)) }],
  ['a short RSA key', { publicKey: generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey }],
  ['no address', { jwksUrl: 'not a url' }],
  ['an address of another kind', { jwksUrl: 'file:///keys' }],
  ['a key that is undefined', { secret: undefined }],
  ['a key that is undefined beside another', { secret, jwksUrl: undefined }],
  ['an audience that is undefined', { secret, audience: undefined }],
  ['an issuer that is undefined', { secret, issuer: undefined }],
  ['an empty audience', { secret, audience: '' }],
  ['an empty list of audiences', { secret, audience: [] }],
  ['a list with undefined', { secret, audience: [undefined] }],
  ['no algorithm', { secret, algorithms: [] }],
  ['the algorithm none', { secret, algorithms: ['none'] }],
  ['a public key’s algorithm with a secret', { secret, algorithms: ['RS256'] }],
  ['a secret’s algorithm with a public key', { publicKey: rsa.publicKey, algorithms: ['HS256'] }],
  ['another curve’s algorithm', { publicKey: ec.publicKey, algorithms: ['ES384'] }],
  ['a secret’s algorithm with an address', { jwksUrl, algorithms: ['HS256'] }],
  ['a tolerance that is NaN', { secret, clockTolerance: NaN }],
  ['an option for an address without one', { secret, cooldownDuration: 1 }],
])('%s is refused at set-up, and the error shows no secret', (_what, options) => {
  const make = () => jwt(options)
  expect(make).toThrow(OptionsError)
  expect(make).not.toThrow(/xxxx|BEGIN|at least 32 characters!/)
})

test.each([
  ['aud', 'audience'],
  ['iss', 'issuer'],
  ['audiance', 'audience'],
  ['sub', 'subject'],
  ['cooldown', 'cooldownDuration'],
])('%s is refused; %s was meant', (name, meant) => {
  expect(() => jwt({ secret, [name]: 'mine' })).toThrow(`Did you mean ${meant}?`)
})

test.each<[string, object]>([
  ['subject', { subject: 'bob' }],
  ['typ', { typ: 'at+jwt' }],
  ['requiredClaims', { requiredClaims: ['scope'] }],
  ['maxTokenAge', { maxTokenAge: '1h' }],
])('%s is checked, as jose does', async (_what, option) => {
  expect((await ask(app({ secret, ...option }), await sign())).status).toBe(401)
})

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

test.each(['HS256', 'RS256', 'PS512', 'ES256', 'ES384', 'EdDSA', 'none', 'nonsense'])(
  'a stranger’s token that names %s gets 401 with any key',
  async (alg) => {
    const token = `${part({ alg })}.${part({ sub: 'x' })}.${'A'.repeat(43)}`
    for (const options of [
      { secret },
      { publicKey: rsa.publicKey },
      { publicKey: ec.publicKey },
      { publicKey: generateKeyPairSync('ed25519').publicKey },
    ]) {
      expect((await ask(app(options), token)).status).toBe(401)
    }
  },
)

test('a token within `clockTolerance` is valid at clients and at the stream alike', async () => {
  const streamer = new Streamer(memoryDriver())
  const verify = jwt({ secret, clockTolerance: 60 })
  const copied = async (token: string) => ({ ...(await verify(token)), role: 'reader' })
  for (const check of [verify, copied]) {
    const server = express().use(authenticate({ verify: check }))
    server.use('/clients', clients(streamer)).use(unifrostExpress(streamer))
    for (const [expired, statuses] of [
      [20, [201, 200]],
      [90, [401, 401]],
    ] as const) {
      const token = await sign({}, new Date(Date.now() - expired * 1000))
      const authorization = `Bearer ${token}`
      const made = await request(server).post('/clients').set({ authorization })
      const id = (made.body as { client_id?: string }).client_id ?? 'x'
      const opened = await request(server).head(`/?id=${id}`).set({ authorization })
      expect([made.status, opened.status]).toEqual(statuses)
    }
  }
  await streamer.close()
})

test('a token of a key that was changed gets 503 until `cooldownDuration` is over', async () => {
  const pairs = [rsa, generateKeyPairSync('rsa', { modulusLength: 2048 })]
  let current = 0
  const issuer = createServer((_request, response) => {
    const jwk = pairs[current]!.publicKey.export({ format: 'jwk' })
    response.end(JSON.stringify({ keys: [{ ...jwk, kid: `k${current}`, alg: 'RS256' }] }))
  })
  await new Promise<void>((resolve) => issuer.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}`
  const token = (number: number) =>
    new SignJWT({ sub: 'a' })
      .setProtectedHeader({ alg: 'RS256', kid: `k${number}` })
      .sign(pairs[number]!.privateKey)
  const patient = app({ jwksUrl: url })
  const quick = app({ jwksUrl: url, cooldownDuration: 0 })
  for (const server of [patient, quick])
    expect((await ask(server, await token(0))).status).toBe(200)
  current = 1
  const refused = await ask(patient, await token(1))
  expect([refused.status, refused.headers['retry-after']]).toEqual([503, '5'])
  expect((await ask(quick, await token(1))).status).toBe(200)
  expect((await ask(quick, await token(0))).status).toBe(401)
  issuer.closeAllConnections()
  await new Promise((resolve) => issuer.close(resolve))
})
