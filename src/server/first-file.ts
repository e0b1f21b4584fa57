/** What `unifrost init` writes: a section for each broker. */
const SECTIONS = {
  memory: 'broker: { memory: {} }                # what is published here, is sent from here',
  redis: 'broker: { redis: { url: redis://localhost:6379 } }',
  nats: 'broker: { nats: { servers: nats://localhost:4222 } }',
} as const

export type InitBroker = keyof typeof SECTIONS

/** The brokers that `unifrost init` knows. */
export const INIT_BROKERS = Object.keys(SECTIONS) as InitBroker[]

/** A commented file to begin with. */
export function firstFile(
  broker: InitBroker,
  { secret, publishKey }: { secret: string; publishKey: string },
): string {
  return `# unifrost: all keys are in docs/server.md, or for your editor: unifrost schema > unifrost.schema.json
# yaml-language-server: $schema=./unifrost.schema.json

listen: { port: 8080 }                # tls: { cert: tls.crt, key: tls.key } serves HTTPS and HTTP/2
admin: { port: 9090, host: 127.0.0.1 } # /livez, /readyz and /metrics
${SECTIONS[broker]}

auth:
  cookie: token                       # an EventSource sends no headers, but cookies
  issuers:
    # Your own issuer has jwks: https://… in the place of secret. Keep secrets out of the file:
    # secret: '\${file:/run/secrets/token}' or '\${TOKEN_SECRET}'
    - issuer: https://localhost
      audience: events
      algorithms: [HS256]
      secret: ${secret}

topics:                               # the first that matches decides; what none matches is refused
  - { match: news, subscribe: anyone }
  - { match: 'users.{sub}.*', subscribe: owner }
  - { match: 'teams.*', subscribe: authenticated }

publish:                              # POST /publish with Authorization: Bearer KEY
  keys: [${publishKey}]
  topics: ['*']

cors: { origins: ['http://localhost:3000'] } # the pages that may use this server
`
}
