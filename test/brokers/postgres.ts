import { execFile } from 'node:child_process'
import { access, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { until } from '../../src/testing/index.js'
import { findCommand, requireCommand } from './apt.js'
import { BrokerProcess, freePort } from './process.js'

const run = promisify(execFile)

/** A PostgreSQL that is running already and is used instead of one of ours. */
export const RUNNING_POSTGRES = process.env['UNIFROST_TEST_POSTGRES']

/** Who may do everything. */
export const ADMIN = { user: 'admin', password: 'admin-secret' }

/** A user that gets in by TLS only. */
export const TLS_ONLY = 'tlsonly'

/** A PostgreSQL of ours, on a port of its own. */
export interface PostgresServer {
  readonly port: number
  /** As a superuser. */
  readonly adminUrl: string
  /** The certificate of the server, which it has signed itself. */
  readonly certificate: string
  /** As a crash: nothing is said to anyone. Settles when all its processes are gone. */
  kill(): Promise<void>
  /** Settles when it takes queries. */
  start(): Promise<void>
  /** Has it be a standby when it is started again. */
  demote(): Promise<void>
  /** Lets all its processes stand still, those of the connections too. */
  freeze(): Promise<void>
  thaw(): Promise<void>
  stop(): Promise<void>
}

export interface PostgresServerOptions {
  /** Default: one that is free. */
  port?: number
  /** Whether it is a standby, which takes queries and no LISTEN until `pg_promote()`. */
  standby?: boolean
  /** Default: it takes connections with and without TLS. */
  tls?: 'off'
}

/**
 * Starts a PostgreSQL with an empty database, whose data is in a folder of its own and goes with it.
 * It never flushes to the disk, which only a crash of the machine needs.
 */
export async function startPostgres(options: PostgresServerOptions = {}): Promise<PostgresServer> {
  const port = options.port ?? (await freePort())
  const folder = await mkdtemp(join(tmpdir(), 'unifrost-postgres-'))
  const file = (name: string) => join(folder, name)
  const data = file('data')
  const standby = join(data, 'standby.signal')
  try {
    const programs = await programsFolder()
    const [command, ...prefix] = await asUnprivileged(folder)
    await writeFile(file('password'), ADMIN.password)
    await run(command, [
      ...prefix,
      join(programs, 'initdb'),
      ...['-D', data, '-U', ADMIN.user, '-A', 'scram-sha-256', `--pwfile=${file('password')}`],
      ...['-E', 'UTF8', '--locale=C.UTF-8', '--no-sync'],
    ])
    const certificate = await makeCertificate(folder)
    const settings = {
      listen_addresses: '127.0.0.1',
      port,
      unix_socket_directories: '',
      fsync: 'off',
      // Shared memory as files of the folder, so that a process that is killed leaves none.
      dynamic_shared_memory_type: 'mmap',
      ssl: options.tls ?? 'on',
      ssl_cert_file: file('server.crt'),
      ssl_key_file: file('server.key'),
      hba_file: file('hba'),
    }
    await writeFile(
      file('hba'),
      `hostnossl all ${TLS_ONLY} all reject
       host all all 127.0.0.1/32 scram-sha-256
      `,
    )
    if (options.standby) await writeFile(standby, '')
    if (process.getuid?.() === 0) await run('chown', ['-R', USER, folder])
    const broker = await BrokerProcess.start({
      command,
      args: [
        ...prefix,
        join(programs, 'postgres'),
        ...['-D', data],
        ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
      ],
      port,
      says: 'database system is ready to accept',
    })
    return {
      port,
      adminUrl: `postgres://${ADMIN.user}:${ADMIN.password}@127.0.0.1:${port}/postgres`,
      certificate,
      ...signals(broker),
      start: () => broker.start(),
      demote: () => writeFile(standby, ''),
      async stop() {
        const { pid } = broker
        // It takes its shared memory along, where it is not killed.
        if (pid !== undefined) {
          process.kill(pid, 'SIGQUIT')
          await until('PostgreSQL has ended', async () => !(await stateOf(pid)), 20_000)
        }
        await broker.stop()
        await rm(folder, { recursive: true, force: true })
      },
    }
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}

/** Each of its processes leads a group of its own, so that signals go to one after the other. */
function signals(broker: BrokerProcess): Pick<PostgresServer, 'kill' | 'freeze' | 'thaw'> {
  let children: number[] = []
  const each = (signal: NodeJS.Signals) => {
    for (const pid of children) tryKill(pid, signal)
  }
  const are = (what: string, wanted: (state: string | undefined) => boolean) =>
    until(`all processes of PostgreSQL ${what}`, async () => {
      const states = await Promise.all(children.map(stateOf))
      return states.every(wanted)
    })
  /** Stopped, the first process makes no others while they are counted. */
  const freeze = async (signal: NodeJS.Signals) => {
    await broker.freeze()
    children = broker.pid === undefined ? [] : await childrenOf(broker.pid)
    each(signal)
  }
  return {
    async kill() {
      await freeze('SIGKILL')
      await broker.kill()
      await are('are gone', (state) => state === undefined)
    },
    async freeze() {
      await freeze('SIGSTOP')
      await are('stand still', (state) => state === undefined || state === 'T')
    },
    async thaw() {
      each('SIGCONT')
      broker.thaw()
      await are('go on', (state) => state !== 'T')
    },
  }
}

function tryKill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    // It may have ended by itself.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

async function childrenOf(parent: number): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const parents = await Promise.all(pids.map(async (pid) => (await statOf(pid))[1]))
  return pids.filter((_, index) => parents[index] === String(parent))
}

/** Undefined for a process that is gone, or that only waits for somebody to take note of its end. */
async function stateOf(pid: number): Promise<string | undefined> {
  const [state] = await statOf(pid)
  return state === 'Z' || state === 'X' ? undefined : state
}

/** State and parent, as in proc_pid_stat(5). The name before them may have any letters. */
async function statOf(pid: number): Promise<string[]> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

/** Debian has them in a folder for each version, and only its own tools in PATH. */
async function programsFolder(): Promise<string> {
  const inPath = await findCommand('initdb')
  if (inPath !== undefined) return dirname(inPath)
  await requireCommand(
    'pg_ctlcluster',
    'postgresql',
    'start one and set UNIFROST_TEST_POSTGRES=postgres://user:password@host:port/database',
  )
  const base = '/usr/lib/postgresql'
  const versions = (await readdir(base)).sort((a, b) => Number(b) - Number(a))
  for (const version of versions) {
    const programs = join(base, version, 'bin')
    const isServer = await access(join(programs, 'initdb')).then(
      () => true,
      () => false,
    )
    if (isServer) return programs
  }
  throw new Error(`There is no PostgreSQL server in ${base}.`)
}

/** Whom Debian's package makes. */
const USER = 'postgres'

/** PostgreSQL does not run as root: what to put before its commands, and a folder for the other. */
async function asUnprivileged(folder: string): Promise<[string, ...string[]]> {
  if (process.getuid?.() !== 0) return ['env']
  await run('chown', [USER, folder])
  return ['setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--clear-groups']
}

async function makeCertificate(folder: string): Promise<string> {
  const openssl = await requireCommand('openssl', 'openssl', 'put it into PATH')
  const file = join(folder, 'server.crt')
  await run(openssl, [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
    ...['-keyout', join(folder, 'server.key'), '-out', file, '-days', '2'],
    ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'],
  ])
  return readFile(file, 'utf8')
}
