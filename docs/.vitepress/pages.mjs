// The pages of the site, in the order of the sidebar. One that does not exist is left out.
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const docs = fileURLToPath(new URL('..', import.meta.url))

const groups = [
  [
    'Begin',
    [
      ['start', 'Start'],
      ['how-it-works', 'How it works'],
      ['library', 'The library'],
      ['server', 'The server'],
      ['browser', 'In the browser'],
      ['client', 'The client'],
    ],
  ],
  [
    'Guides',
    [
      ['topics', 'Topics'],
      ['state', 'State without a hole'],
      ['ai-answers', 'AI answers'],
      ['guides/authentication', 'Authentication'],
      ['guides/brokers', 'Choosing a broker'],
      ['guides/testing', 'Testing your app'],
      ['guides/deploying', 'Deploying'],
      ['workers', 'Several cores'],
      ['scaling', 'Several servers'],
      ['operations', 'Operations'],
      ['guides/clients', 'Other clients'],
      ['troubleshooting', 'Troubleshooting'],
    ],
  ],
  [
    'Frameworks',
    [
      ['fastify', 'Fastify'],
      ['nest', 'NestJS'],
      ['fetch', 'Hono, Next and others'],
    ],
  ],
  [
    'Drivers',
    [
      ['drivers/README', 'All drivers'],
      ['drivers/nats', 'NATS'],
      ['drivers/jetstream', 'JetStream'],
      ['drivers/rabbitmq', 'RabbitMQ'],
      ['drivers/kafka', 'Kafka'],
      ['drivers/redis', 'Redis pub/sub'],
      ['drivers/redis-streams', 'Redis Streams'],
      ['drivers/postgres', 'PostgreSQL'],
      ['drivers/google-pubsub', 'Google Pub/Sub'],
      ['drivers/sqs', 'SNS and SQS'],
      ['drivers/azure-service-bus', 'Azure Service Bus'],
      ['drivers/write-your-own', 'Write your own'],
    ],
  ],
  [
    'Compare',
    [
      ['comparison', 'Comparison'],
      ['coming-from', 'Coming from'],
      ['benchmarks', 'Benchmarks'],
      ['benchmarks/mounted', 'As it is mounted'],
      ['sizing', 'Sizing'],
      ['reliability', 'Reliability'],
    ],
  ],
  [
    'Reference',
    [
      ['options', 'Options'],
      ['errors', 'Errors'],
      ['protocol', 'Protocol'],
      ['architecture', 'Inside'],
    ],
  ],
]

/** The groups of the sidebar, with the pages that exist. */
export const sidebar = groups
  .map(([text, pages]) => ({
    text,
    items: pages
      .filter(([path]) => existsSync(`${docs}${path}.md`))
      .map(([path, title]) => ({ text: title, path, link: `/${path.replace(/README$/, '')}` })),
  }))
  .filter(({ items }) => items.length > 0)

/** The first heading of a page, and the first paragraph below it. */
export function aboutPage(path) {
  const text = readFileSync(`${docs}${path}.md`, 'utf8').replace(/^---\n[\s\S]*?\n---\n/, '')
  const [, title = path] = /^# (.+)$/m.exec(text) ?? []
  const [, first = ''] = /^# .+\n+((?:(?![#|`<\s-]).+\n)+)/m.exec(text) ?? []
  return {
    title,
    description: first
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .replace(/\s+/g, ' ')
      .trim(),
  }
}
