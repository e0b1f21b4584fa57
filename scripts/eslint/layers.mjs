// Which file may import what: docs/architecture.md in a form that fails the lint.
import { isBuiltin } from 'node:module'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

// The wings of the core, and what lies on the ground between them.
const ground =
  /^src\/(driver|log|directory|errors|clock|options|option-checks|callbacks|event-names|topic-options|topic-patterns|allowance)\.ts$/
const wire = /^src\/wire\//
const delivery = /^src\/delivery\//
const service = /^src\/service\//
const cluster = /^src\/cluster\//
const http = /^src\/http\//

// What all middleware shares: the files that are no framework's.
const shared = /^middleware\/(?!(express|koa|fetch|fastify|nest)(-[a-z-]+)?\.ts$)/

const kit = /^src\/driver-kit\//

// A broker's driver is one file, with a folder of its own name beside it where it needs more. What
// several drivers or directories of one broker share is in `src/brokers/`.
const driver = (name, lazy, brokers = []) => ({
  name: `${name} driver`,
  files: new RegExp(`^src/drivers/${name}(\\.ts$|/)`),
  reaches: [
    /^src\/(driver|log|errors)\.ts$/,
    kit,
    ...brokers.map((broker) => new RegExp(`^src/brokers/${broker}/`)),
    new RegExp(`^src/drivers/${name}(\\.ts$|/)`),
  ],
  lazy,
})

const broker = (name, lazy) => ({
  name: `what users of ${name} share`,
  files: new RegExp(`^src/brokers/${name}/`),
  reaches: [/^src\/(driver|log|errors)\.ts$/, kit, new RegExp(`^src/brokers/${name}/`)],
  lazy,
})

const directory = (name, { drivers = [], lazy = [] } = {}) => ({
  name: `${name} directory`,
  files: new RegExp(`^src/directories/${name}(\\.ts$|/)`),
  reaches: [
    /^src\/(directory|errors)\.ts$/,
    kit,
    /^src\/directories\/toolbox\//,
    new RegExp(`^src/brokers/${name}/`),
    ...drivers.map((driver) => new RegExp(`^src/drivers/${driver}/`)),
    new RegExp(`^src/directories/${name}(\\.ts$|/)`),
  ],
  lazy,
})

/**
 * The first layer whose `files` match is the file's. `reaches` are the files of ours it may
 * import; Node's own modules are open to all but `node: false`. Packages come in three kinds:
 * `packages` may be imported as one likes, `lazy` ones only as types or when they are used, so
 * that nobody has to install what they do without, and `types` only as types.
 */
export const layers = [
  {
    name: 'index',
    files: /^src\/index\.ts$/,
    reaches: [ground, wire, delivery, service, http, /^src\/(streamer|drivers\/memory)\.ts$/],
  },
  { name: 'for middleware', files: /^src\/for-middleware\.ts$/, reaches: [ground, service, http] },
  {
    name: 'streamer',
    files: /^src\/(streamer|assembly)\.ts$/,
    reaches: [ground, wire, delivery, service, cluster, http, /^src\/assembly\.ts$/],
  },
  { name: 'ground', files: ground, reaches: [ground] },
  { name: 'wire', files: wire, reaches: [ground, wire] },
  { name: 'delivery', files: delivery, reaches: [ground, wire, delivery] },
  { name: 'service', files: service, reaches: [ground, wire, delivery, service] },
  { name: 'cluster', files: cluster, reaches: [ground, wire, delivery, service, cluster] },
  { name: 'http', files: http, reaches: [ground, wire, delivery, service, http] },
  {
    name: 'memory driver',
    files: /^src\/drivers\/memory\.ts$/,
    reaches: [/^src\/(driver|log|errors|option-checks)\.ts$/],
  },
  {
    name: 'driver kit',
    files: kit,
    reaches: [/^src\/(driver|log|errors|option-checks|event-names)\.ts$/, kit],
  },
  broker('nats', ['nats', '@nats-io/transport-node', '@nats-io/jetstream']),
  driver('nats', [], ['nats']),
  driver('jetstream', [], ['nats']),
  driver('postgres', ['pg']),
  driver('rabbitmq', ['amqplib']),
  driver('kafka', ['kafkajs', '@platformatic/kafka']),
  driver('google-pubsub', ['@google-cloud/pubsub']),
  driver('sqs', ['@aws-sdk/client-sqs', '@aws-sdk/client-sns']),
  driver('azure-service-bus', ['@azure/service-bus']),
  broker('redis', ['redis', 'ioredis']),
  driver('redis', [], ['redis']),
  driver('redis-streams', [], ['redis']),
  {
    name: 'directories toolbox',
    files: /^src\/directories\/toolbox\//,
    reaches: [/^src\/(directory|errors)\.ts$/, kit, /^src\/directories\/toolbox\//],
  },
  directory('redis'),
  directory('nats', { drivers: ['jetstream'], lazy: ['@nats-io/jetstream'] }),
  {
    name: 'hub',
    files: /^src\/hub\//,
    reaches: [
      /^src\/(driver|log|directory|errors|options|option-checks|streamer)\.ts$/,
      kit,
      /^src\/directories\/toolbox\//,
      /^src\/hub\//,
    ],
  },
  // The browser's half knows nothing of the server's: they share what stands in docs/protocol.md.
  {
    name: 'client for a framework',
    files: /^src\/client\/(react|vue|svelte|solid)\.ts$/,
    reaches: [/^src\/client\/types\.ts$/],
    packages: ['react', 'vue', 'solid-js'],
  },
  { name: 'client', files: /^src\/client\//, reaches: [/^src\/client\//] },
  {
    name: 'runs in Redis',
    files: /^src\/runs\/redis(\.ts$|\/)/,
    reaches: [/^src\/errors\.ts$/, kit, /^src\/brokers\/redis\//, /^src\/runs\//],
  },
  {
    name: 'metrics',
    files: /^src\/metrics\//,
    reaches: [
      /^src\/(errors|option-checks|streamer)\.ts$/,
      /^src\/http\/door\.ts$/,
      /^src\/metrics\//,
    ],
    types: ['@opentelemetry/api'],
    lazy: ['prom-client'],
  },
  {
    name: 'runs',
    files: /^src\/runs\//,
    reaches: [
      ground,
      wire,
      http,
      /^src\/delivery\/connection\.ts$/,
      /^src\/service\/owner\.ts$/,
      /^src\/streamer\.ts$/,
      /^src\/runs\//,
      // How a framework takes an answer and an error.
      /^middleware\/(express-errors|koa-errors|fetch-exchange)\.ts$/,
    ],
  },
  {
    name: 'testing',
    files: /^src\/testing\//,
    reaches: [/^src\/(driver|log|errors|option-checks)\.ts$/, /^src\/testing\//],
  },
  {
    name: 'Express adapter',
    files: /^middleware\/express(-errors)?\.ts$/,
    reaches: [/^src\/(index|for-middleware)\.ts$/, shared, /^middleware\/express(-errors)?\.ts$/],
    types: ['express'],
  },
  {
    name: 'Koa adapter',
    files: /^middleware\/koa(-errors)?\.ts$/,
    reaches: [/^src\/(index|for-middleware)\.ts$/, shared, /^middleware\/koa-errors\.ts$/],
    types: ['koa', '@koa/router'],
  },
  {
    name: 'fetch adapter',
    files: /^middleware\/fetch(-exchange)?\.ts$/,
    reaches: [/^src\/(index|for-middleware)\.ts$/, shared, /^middleware\/fetch(-exchange)?\.ts$/],
  },
  {
    name: 'Fastify adapter',
    files: /^middleware\/fastify(-reply|-schemas)?\.ts$/,
    reaches: [
      /^src\/(index|for-middleware)\.ts$/,
      shared,
      /^middleware\/fastify-(reply|schemas)\.ts$/,
    ],
    types: ['fastify'],
  },
  {
    name: 'NestJS adapter',
    files: /^middleware\/nest(-routes)?\.ts$/,
    // NestJS runs on Fastify, too.
    reaches: [
      /^src\/(index|for-middleware)\.ts$/,
      shared,
      /^middleware\/(nest-routes|fastify-reply)\.ts$/,
    ],
    // An application that imports this has NestJS.
    packages: ['@nestjs/common'],
    types: ['express', 'fastify'],
  },
  {
    name: 'middleware',
    files: /^middleware\//,
    reaches: [/^src\/(index|for-middleware)\.ts$/, shared],
    packages: ['cookie'],
    lazy: ['jose'],
  },
  {
    // The server is the public API put together, so it reaches what a user does.
    name: 'server',
    files: /^src\/server\//,
    reaches: [
      /^src\/(index|hub\/index|metrics\/index|runs\/index)\.ts$/,
      /^src\/(drivers|directories)\/[a-z-]+\.ts$/,
      /^middleware\/express\.ts$/,
      /^src\/server\//,
    ],
    packages: ['yaml', 'zod', 'pino', 'prom-client', 'jose'],
  },
  // An example shows what a user can do, and a user has the package only.
  { name: 'examples', files: /^examples\//, reaches: [/^examples\//], packages: true },
]

const packageName = (specifier) => /^(?:@[^/]+\/)?[^/]+/.exec(specifier)[0]

/** What is wrong with this import, or nothing. `kind` is 'static', 'type' or 'dynamic'. */
function judge(file, specifier, kind) {
  const layer = layers.find(({ files }) => files.test(file))
  if (layer === undefined) return `No layer in scripts/eslint/layers.mjs takes ${file}.`
  if (specifier.startsWith('.')) {
    const target = join(dirname(file), specifier).split(sep).join('/').replace(/\.js$/, '.ts')
    if (layer.reaches.some((pattern) => pattern.test(target))) return
    return `${target} is out of reach for the layer '${layer.name}'.`
  }
  if (isBuiltin(specifier)) return
  const name = packageName(specifier)
  if (layer.packages === true || layer.packages?.includes(name)) return
  if (layer.lazy?.includes(name)) {
    return kind === 'static'
      ? `The layer '${layer.name}' imports ${name} as a type or with import(), when it is used.`
      : undefined
  }
  if (layer.types?.includes(name)) {
    return kind === 'type'
      ? undefined
      : `The layer '${layer.name}' imports types of ${name}, and nothing else.`
  }
  return `The layer '${layer.name}' does without the package ${name}.`
}

/** ESLint's rule. It sees every form of import there is, `import()` and `require` included. */
export const layersRule = {
  meta: { type: 'problem', schema: [], docs: { description: 'keep the layers apart' } },
  create(context) {
    const file = relative(root, context.filename).split(sep).join('/')
    const check = (node, source, kind) => {
      if (typeof source?.value !== 'string') return
      const message = judge(file, source.value, kind)
      if (message !== undefined) context.report({ node, message })
    }
    const kindOf = (node) => ((node.importKind ?? node.exportKind) === 'type' ? 'type' : 'static')
    return {
      ImportDeclaration: (node) => check(node, node.source, kindOf(node)),
      ExportNamedDeclaration: (node) => check(node, node.source, kindOf(node)),
      ExportAllDeclaration: (node) => check(node, node.source, kindOf(node)),
      ImportExpression: (node) => check(node, node.source, 'dynamic'),
      TSImportType: (node) => check(node, node.source, 'type'),
      TSExternalModuleReference: (node) => check(node, node.expression, 'static'),
      "CallExpression[callee.name='require']": (node) => check(node, node.arguments[0], 'static'),
    }
  },
}
