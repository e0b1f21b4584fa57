import { z } from 'zod'
import { durationFrom, flagFrom, numberFrom } from './quantities.js'
import {
  address,
  DURATION,
  duration,
  flag,
  matching,
  oneOf,
  oneOrMore,
  size,
  text,
  whole,
  scalar,
} from './scalars.js'

/** The sections of a configuration but the brokers'. Each key says what it is for, in one sentence. */

const tls = z.strictObject({
  cert: text('the path of a certificate in PEM form').describe(
    'The certificate, with its chain. It is read again when the file changes.',
  ),
  key: text('the path of a private key in PEM form').describe('Its private key.'),
})

export const listen = z.strictObject({
  port: whole(0, 65_535, 'a port')
    .prefault(8080)
    .describe('The port for browsers and publishers. 0: any free one.'),
  host: text('the name or number of an address')
    .optional()
    .describe('The address to listen on. Default: all of this machine.'),
  tls: tls
    .optional()
    .describe('Serves HTTPS, with HTTP/2 and HTTP/1.1. Default: HTTP/1.1 without TLS.'),
  trustProxy: whole(0, 10)
    .prefault(0)
    .describe(
      'How many proxies in front add to X-Forwarded-For. The limits for each address count the address that they name.',
    ),
})

export const admin = z.strictObject({
  port: whole(0, 65_535, 'a port')
    .prefault(9090)
    .describe(
      'The port for /livez, /readyz and /metrics. Without admin, /livez and /readyz are on the port for browsers.',
    ),
  host: text('the name or number of an address')
    .optional()
    .describe('The address to listen on. Default: that of listen.'),
})

const algorithms = oneOf(
  ...(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512'] as const),
  ...(['EdDSA', 'Ed25519', 'HS256', 'HS384', 'HS512'] as const),
)

const issuer = z.strictObject({
  issuer: text("the issuer's name, as the claim iss has it").describe(
    "What a token's iss must be.",
  ),
  audience: oneOrMore(text('a name, as the claim aud has it')).describe(
    "What a token's aud must be, or one of several.",
  ),
  algorithms: z.array(algorithms).min(1).describe('The algorithms that a signature may have.'),
  jwks: text('the address or the path of a JWK Set')
    .optional()
    .describe("The issuer's public keys: an address of http or https, or a file."),
  secret: text('a secret of 32 bytes or more', { secret: true })
    .optional()
    .describe('The shared secret of HS256, HS384 or HS512.'),
  clockTolerance: duration()
    .prefault('5s')
    .describe('How far the clocks of issuer and server may differ.'),
})

export const auth = z.strictObject({
  issuers: z.array(issuer).min(1).describe('Who signs tokens. Each has jwks or secret.'),
  labels: z
    .array(
      matching(
        /^(?!(?:id|owner|labels|session|__proto__)$)[A-Za-z_][\w.-]{0,63}$/,
        'the name of a claim, other than id, owner and session',
      ),
    )
    .min(1)
    .max(8)
    .optional()
    .describe(
      'Claims that mark clients, so that /revoke and the like can mean all with one value: {"label": {"tenant": "acme"}}. Default: none.',
    ),
  cookie: matching(/^[\w!#$%&'*+.^`|~-]+$/, 'the name of a cookie')
    .optional()
    .describe(
      'A cookie that has the token, for an EventSource, which sends no headers. Default: none.',
    ),
  query: matching(/^[\w.~-]+$/, 'the name of a parameter')
    .optional()
    .describe(
      'A parameter of the address that has the token. Addresses are written to logs: prefer a cookie. Default: none.',
    ),
})

const fieldName = matching(
  /^[\w-]{1,64}(\.[\w-]{1,64}){0,7}$/,
  "the name of a field of the message's JSON, such as symbol or order.id",
)

const conflateScalar = scalar<boolean | number>((value) => flagFrom(value) ?? durationFrom(value), {
  takes: 'true, false, or a time with its unit, such as 200ms',
  json: { anyOf: [{ type: 'boolean' }, { type: 'string', pattern: DURATION }] },
})

const conflateKeys = z.strictObject({
  by: fieldName.optional().describe('The field whose values have a newest message each.'),
  interval: duration()
    .prefault(0)
    .describe('A client is written to at most once in so long. 0: as messages come.'),
  asked: flag().prefault(false).describe('Whether only a stream with ?conflate=1 is conflated.'),
})

export const topic = z.strictObject({
  match: text('a pattern such as news, users.{sub}.* or *').describe(
    "The topics of this rule. * is one segment, {claim} the token's value; * alone is every topic.",
  ),
  subscribe: oneOf('anyone', 'authenticated', 'owner', 'granted', 'nobody')
    .prefault('nobody')
    .describe(
      'Who may have them: anyone; authenticated, with a token; owner, whose claims the pattern names; granted, whose token lists the topic in its claim topics; nobody.',
    ),
  retain: z
    .union([whole(0, 1_000_000), z.strictObject({ by: fieldName.describe('The field.') })])
    .optional()
    .describe(
      'The last messages, which who subscribes later is sent: this many, or with { by: symbol } the newest for each value of a field of their JSON. Default: none.',
    ),
  conflate: z
    .union([conflateScalar, conflateKeys])
    .optional()
    .describe(
      'Who is behind gets only the newest message (true, or keys); a time writes at most once in so long. Default: false.',
    ),
  end: text("a message's text")
    .optional()
    .describe('The message that is the last one of its topic. Default: none is.'),
  linger: duration()
    .optional()
    .describe(
      'How long such a topic without subscribers stays open. Default: streams.topicLinger.',
    ),
  maxBytes: size()
    .optional()
    .describe('The memory for messages of one such topic. Default: history.maxBytesPerTopic.'),
})

const publishKey = z.strictObject({
  key: text('a key', { secret: true }).describe('The key.'),
  topics: z
    .array(text('a pattern such as news or orders.*'))
    .min(1)
    .optional()
    .describe('The topics of this key. Default: publish.topics.'),
})

export const publish = z.strictObject({
  keys: z
    .array(
      z.union([
        text('a key', { secret: true }).transform((key) => ({ key, topics: undefined })),
        publishKey,
      ]),
    )
    .min(1)
    .describe('Who may publish, by Authorization: Bearer KEY. A key, or { key, topics }.'),
  topics: z
    .array(text('a pattern such as news or orders.*'))
    .min(1)
    .prefault(['*'])
    .describe('The topics to which may be published. * is one segment; * alone is every topic.'),
  maxBodyBytes: size().prefault('1MB').describe('The largest body of a request.'),
  maxMessages: whole(1, 100_000).prefault(1_000).describe('The most messages of one request.'),
  idempotency: duration()
    .prefault('10m')
    .describe('How long an idempotency key is remembered, by each process. 0: not at all.'),
})

export const runs = z.strictObject({
  match: text('a pattern such as answers.* or *').describe(
    'The names of the runs that may be started. * is one segment; * alone is every name.',
  ),
  keep: duration().prefault('10m').describe('How long a run is kept after its end. 0: not at all.'),
  maxBytes: size()
    .prefault('4MiB')
    .describe('The most bytes of one run. One that has more ends as failed with too-large.'),
})

export const control = z.strictObject({
  keys: z
    .array(text('a key', { secret: true }))
    .min(1)
    .describe('Who may call /revoke, /recheck and /subscriptions by owner.'),
})

export const directory = z.strictObject({
  redis: z
    .strictObject({
      url: address(['redis', 'rediss'], 'redis://localhost:6379').describe('The Redis server.'),
      prefix: text('a text').optional().describe('What its keys begin with. Default: unifrost:.'),
    })
    .optional()
    .describe('In Redis.'),
  nats: z
    .strictObject({
      servers: oneOrMore(address(['nats', 'tls', 'ws', 'wss'], 'nats://localhost:4222'))
        .optional()
        .describe('The NATS servers. Default: those of broker.'),
      bucket: matching(/^[\w-]{1,200}$/, 'letters, digits, - and _')
        .prefault('unifrost')
        .describe('The key-value bucket.'),
      replicas: whole(1, 5)
        .prefault(1)
        .describe('On how many servers the bucket is kept: 1, 3 or 5.'),
    })
    .optional()
    .describe('In a bucket of NATS JetStream.'),
})

export const cors = z.strictObject({
  origins: z
    .array(matching(/^(\*|https?:\/\/[^/?#@\s*]+)$/, 'an origin such as https://app.example, or *'))
    .min(1)
    .describe(
      'The pages of other origins that may use this server. * is every page, and none with cookies.',
    ),
})

export const limits = z.strictObject({
  connectionsPerAddress: whole(1, 1_000_000)
    .optional()
    .describe('The most streams of one network address. Default: no limit.'),
  connectionsPerOwner: whole(1, 1_000_000)
    .optional()
    .describe('The most streams of one user. Default: no limit.'),
  clients: whole(1, 10_000_000)
    .optional()
    .describe('The most clients of a process, connected or not. Default: no limit.'),
  topicsPerClient: whole(1, 100_000).prefault(256).describe('The most topics of a client.'),
  openTopics: whole(1, 10_000_000)
    .prefault(100_000)
    .describe('The most topics that are open on the broker.'),
  messageBytes: size()
    .prefault('8MiB')
    .describe('The largest message. In the place of a larger one, clients get messages-lost.'),
  newPerSecond: whole(1, 1_000_000)
    .optional()
    .describe('The most new connections in a second; more wait in the kernel. Default: no limit.'),
})

export const streams = z.strictObject({
  clientTTL: duration(1).prefault('60s').describe('How long a client lives without a connection.'),
  heartbeat: duration()
    .prefault('25s')
    .describe('How often a quiet stream gets a comment. 0: never.'),
  topicLinger: duration()
    .prefault('5s')
    .describe('How long a topic without subscribers stays open on the broker.'),
  slowAfter: duration(1)
    .prefault('30s')
    .describe('After how long a connection is ended that takes no bytes.'),
  maxAge: duration()
    .prefault(0)
    .describe('After how long a stream is ended, so that its page comes again. 0: never.'),
})

export const history = z.strictObject({
  maxBytes: size()
    .prefault('64MiB')
    .describe('The memory for messages that clients may still need.'),
  maxBytesPerTopic: size()
    .optional()
    .describe('That of one topic. Default: an eighth of maxBytes.'),
  maxAge: duration(1)
    .optional()
    .describe('How long a message is kept. Default: streams.clientTTL and 60s.'),
})

export const drain = z.strictObject({
  over: duration().prefault('5s').describe('Over how long the streams are ended at SIGTERM.'),
})

export const log = z.strictObject({
  level: oneOf('debug', 'info', 'warn', 'error', 'silent')
    .prefault('info')
    .describe('The least grave lines that are written.'),
  access: flag()
    .prefault(true)
    .describe('Whether each stream gets a line at its end, without ids or tokens.'),
})

export const workers = scalar<'auto' | number>(
  (value) => {
    const number = numberFrom(value)
    if (value === 'auto') return 'auto'
    return Number.isInteger(number) && number! >= 1 && number! <= 256 ? number : undefined
  },
  {
    takes: 'auto, or a whole number from 1 to 256',
    json: { anyOf: [{ const: 'auto' }, { type: 'integer', minimum: 1, maximum: 256 }] },
  },
)
