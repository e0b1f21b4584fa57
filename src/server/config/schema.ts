import { z } from 'zod'
import { broker } from './brokers.js'
import {
  admin,
  auth,
  control,
  cors,
  directory,
  drain,
  history,
  limits,
  listen,
  log,
  publish,
  runs,
  streams,
  topic,
  workers,
} from './sections.js'

/**
 * The whole configuration. It is the one source of the checks, of the JSON Schema for editors, and of
 * the table of keys in docs/server.md.
 */
export const schema = z.strictObject({
  listen: listen.prefault({}).describe('Where browsers and publishers connect.'),
  admin: admin.optional().describe('A second port, for those who run the server.'),
  broker: broker
    .prefault({ memory: {} })
    .describe('The message broker: one of these sections. Default: memory.'),
  workers: workers
    .optional()
    .describe(
      'How many processes serve: auto is one for each core. One more has the broker. Default: one process does both.',
    ),
  auth: auth.optional().describe("Whose tokens are taken. Default: nobody's; all are anonymous."),
  topics: z
    .array(topic)
    .prefault([])
    .describe(
      'Who may have which topic. The first rule that matches decides; a topic that none matches is refused.',
    ),
  publish: publish.optional().describe('POST /publish. Default: nobody may publish by HTTP.'),
  runs: runs
    .optional()
    .describe(
      'Streams with a beginning and an end that programs elsewhere produce, such as answers of a model. Default: none.',
    ),
  control: control
    .optional()
    .describe(
      "The keys of the application's own server. Default: those of publish.keys that are for all of publish.topics.",
    ),
  directory: directory
    .optional()
    .describe(
      'Where several servers share their clients: redis or nats. Default: clients exist in one process.',
    ),
  cors: cors.optional().describe('Pages of other origins. Default: none.'),
  limits: limits.prefault({}).describe('What a request, a user or an address can take.'),
  streams: streams.prefault({}).describe('How long clients, streams and topics live.'),
  history: history
    .prefault({})
    .describe('The messages that are kept for clients that are away or slow.'),
  drain: drain.prefault({}).describe('How the server leaves.'),
  log: log.prefault({}).describe('What is logged, as lines of JSON on stdout.'),
})

/** A configuration with every default filled in. Durations are in milliseconds, sizes in bytes. */
export type Config = z.output<typeof schema>
