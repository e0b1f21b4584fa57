import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { access, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { fromNpm } from '../support/from-npm.js'
import { requireCommand } from './apt.js'
import { BrokerProcess, connectionsTo, freePort } from './process.js'

const run = promisify(execFile)

/** `host:port` of a Kafka that is running already and is used instead of one of ours. */
export const RUNNING_KAFKA = process.env['UNIFROST_TEST_KAFKA']

const VERSION = '3.9.1'
const CACHE = resolve('.cache/kafka')

/** What prints Kafka's log, of the version that Kafka's own parts ask for. */
const SLF4J = '1.7.36'
const LOG = 'org.slf4j.simpleLogger'

/** Who may read everything that no ACL speaks of, on the listener that asks for credentials. */
export const READER = { username: 'web', password: 'web-secret' }

/** A broker of ours, which is a cluster of its own unless told otherwise. */
export interface KafkaServer {
  /** Takes everyone, and lets them do everything. */
  readonly direct: number
  /** Asks for credentials, by SASL/PLAIN. */
  readonly guarded: number
  readonly process: BrokerProcess
  /** How many connections the broker has on the port that asks for credentials. */
  connections(): Promise<number>
  stop(): Promise<void>
}

export interface KafkaServerOptions {
  /** The port that asks for credentials, and where the broker says that it can be reached. */
  guarded?: { port: number; advertised: number }
  /** The port that takes everyone. Default: one that is free. */
  direct?: number
  /** More lines for its configuration. */
  config?: string
  /** Further brokers of the cluster of this one. */
  joins?: Cluster
  /** For the first broker of a cluster that others join. */
  cluster?: Cluster
}

/** What the brokers of one cluster have in common. */
export interface Cluster {
  id: string
  controller: number
}

export async function newCluster(): Promise<Cluster> {
  const id = Buffer.from(randomUUID().replaceAll('-', ''), 'hex').toString('base64url')
  return { id, controller: await freePort() }
}

/** Starts a broker of Apache Kafka, without ZooKeeper. */
export async function startKafka(options: KafkaServerOptions = {}): Promise<KafkaServer> {
  try {
    return await startOnce(options)
  } catch (error) {
    // Somebody else may have taken a port since it was found to be free.
    if (!/Address already in use/i.test(String(error))) throw error
    return startOnce(options)
  }
}

async function startOnce(options: KafkaServerOptions): Promise<KafkaServer> {
  const java = await requireCommand(
    'java',
    'default-jre-headless',
    'start Kafka and set UNIFROST_TEST_KAFKA=host:port',
  )
  const jars = await kafkaJars()
  const cluster = options.joins ?? options.cluster ?? (await newCluster())
  const direct = options.direct ?? (await freePort())
  const guarded = options.guarded?.port ?? (await freePort())
  const folder = await mkdtemp(join(tmpdir(), 'unifrost-kafka-'))
  const file = join(folder, 'server.properties')
  const controller = options.joins
    ? { roles: 'broker', listener: '' }
    : { roles: 'broker,controller', listener: `,CONTROLLER://127.0.0.1:${cluster.controller}` }
  await writeFile(
    file,
    `
    process.roles=${controller.roles}
    node.id=${options.joins ? 2 : 1}
    controller.quorum.voters=1@127.0.0.1:${cluster.controller}
    controller.listener.names=CONTROLLER
    listeners=DIRECT://127.0.0.1:${direct},GUARDED://127.0.0.1:${guarded}${controller.listener}
    advertised.listeners=DIRECT://127.0.0.1:${direct},GUARDED://127.0.0.1:${options.guarded?.advertised ?? guarded}
    listener.security.protocol.map=DIRECT:PLAINTEXT,GUARDED:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
    inter.broker.listener.name=DIRECT
    sasl.enabled.mechanisms=PLAIN
    listener.name.guarded.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_${READER.username}="${READER.password}";
    authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
    super.users=User:ANONYMOUS
    allow.everyone.if.no.acl.found=true
    log.dirs=${join(folder, 'data')}
    auto.create.topics.enable=false
    message.max.bytes=2097152
    offsets.topic.replication.factor=1
    offsets.topic.num.partitions=1
    transaction.state.log.replication.factor=1
    transaction.state.log.num.partitions=1
    transaction.state.log.min.isr=1
    group.initial.rebalance.delay.ms=0
    num.network.threads=2
    num.io.threads=2
    log.cleaner.enable=false
    controlled.shutdown.enable=false
    broker.session.timeout.ms=2000
    broker.heartbeat.interval.ms=300
    ${options.config ?? ''}
    `.replace(/^ +/gm, ''),
  )
  const classes = ['-cp', join(jars, '*')]
  // One argument: an id may begin with a dash.
  const format = ['kafka.tools.StorageTool', 'format', `--cluster-id=${cluster.id}`, '-c', file]
  await run(java, ['-Xmx128m', '-XX:TieredStopAtLevel=1', ...classes, ...format])
  const broker = await BrokerProcess.start({
    command: java,
    args: [
      ...['-Xms128m', '-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto'],
      // What a start that failed has to tell, and whether one has not.
      `-D${LOG}.defaultLogLevel=warn`,
      `-D${LOG}.log.kafka.server.KafkaRaftServer=info`,
      ...classes,
      'kafka.Kafka',
      file,
    ],
    port: guarded,
    // It takes one port after the other, and ends when it does not get one.
    says: 'Kafka Server started',
    cwd: folder,
    startTimeout: 60_000,
  }).catch(async (error: unknown) => {
    await rm(folder, { recursive: true, force: true })
    throw error
  })
  return {
    direct,
    guarded,
    process: broker,
    connections: () => connectionsTo(guarded),
    async stop() {
      await broker.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** The folder with Kafka and all that it needs, got by Maven once and kept. */
async function kafkaJars(): Promise<string> {
  const folder = join(CACHE, `${VERSION}-slf4j-${SLF4J}`)
  const there = await access(folder).then(
    () => true,
    () => false,
  )
  if (there) return folder
  const maven = await requireCommand(
    'mvn',
    'maven',
    'start Kafka and set UNIFROST_TEST_KAFKA=host:port',
  )
  await mkdir(CACHE, { recursive: true })
  const part = await mkdtemp(join(CACHE, 'part-'))
  try {
    const pom = join(part, 'pom.xml')
    await writeFile(
      pom,
      `<project>
        <modelVersion>4.0.0</modelVersion>
        <groupId>unifrost</groupId><artifactId>kafka</artifactId><version>1</version>
        <dependencies><dependency>
          <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
          <version>${VERSION}</version>
        </dependency><dependency>
          <groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId>
          <version>${SLF4J}</version>
        </dependency></dependencies>
      </project>`,
    )
    const copy = ['dependency:copy-dependencies', '-DincludeScope=runtime']
    const to = `-DoutputDirectory=${join(part, 'jars')}`
    await run(maven, ['-q', '-B', '-f', pom, ...copy, to], { maxBuffer: 64 * 1024 * 1024 })
    // Whoever else has done the same in the meantime has the same in it.
    await rename(join(part, 'jars'), folder).catch(() => access(folder))
  } finally {
    await rm(part, { recursive: true, force: true })
  }
  return folder
}

/** A newer Node than this may be, with the library that needs it. */
export interface NewerNode {
  /** The `node` command. */
  node: string
  /** The file of `@platformatic/kafka` to import. */
  library: string
}

/** Node 22 and version 2 of `@platformatic/kafka`, got by npm once and kept. */
export async function newerNode(): Promise<NewerNode> {
  const modules = await fromNpm('node-22', ['node@22', '@platformatic/kafka@2'])
  return {
    node: join(modules, 'node/bin/node'),
    library: join(modules, '@platformatic/kafka/dist/index.js'),
  }
}
