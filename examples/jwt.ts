// JSON Web Tokens. EventSource can't send an Authorization header, so a browser sends its token in
// a cookie or, without cookies, in the query. Other clients use the header.
//
//   npx tsx examples/jwt.ts
//   curl -c jar -X POST 'localhost:3000/login?name=alice'     → {"token":"…"}, and a cookie
//   curl -b jar -X POST localhost:3000/clients                → {"client_id":"…"}
//   curl -b jar -H 'Content-Type: application/json' localhost:3000/subscriptions \
//        -d '{"client_id":"…","add":["inbox.alice"]}'
//   curl -b jar -N 'localhost:3000/events?id=…'
import { randomBytes } from 'node:crypto'
import express from 'express'
import { SignJWT } from 'jose'
import { memoryDriver, Streamer } from 'unifrost'
import { authenticate, clients, jwt, subscriptions, unifrostExpress } from 'unifrost/express'

const secret = process.env.JWT_SECRET ?? randomBytes(32).toString('hex')
const driver = memoryDriver()
const streamer = new Streamer(driver)
const app = express()

app.post('/login', async (request, response) => {
  // A real application checks a password here.
  const name = String(request.query.name)
  const token = await new SignJWT()
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(name)
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(secret))
  response.cookie('token', token, { httpOnly: true, sameSite: 'strict' }).json({ token })
})

const auth = authenticate({
  verify: jwt({ secret }),
  from: ['authorization', { cookie: 'token' }, { query: 'access_token' }],
})
app.use('/events', auth, unifrostExpress(streamer))
app.use('/clients', auth, clients(streamer))
app.use(
  '/subscriptions',
  auth,
  subscriptions(streamer, {
    // Every user may have the news, and their own inbox.
    authorize: (user: { sub: string }, topic) => topic === 'news' || topic === `inbox.${user.sub}`,
  }),
)

const server = app.listen(Number(process.env.PORT ?? 3000), 'localhost', () => {
  const { port } = server.address() as { port: number }
  console.log(`Listening on http://localhost:${port}`)
})
const timer = setInterval(() => {
  driver.publish('news', new Date().toISOString())
  driver.publish('inbox.alice', 'Hello Alice')
}, 1_000)

process.once('SIGTERM', async () => {
  clearInterval(timer)
  await streamer.shutdown(server)
})
