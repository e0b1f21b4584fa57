import type pino from 'pino'
import { pino as makeLogger } from 'pino'
import { loadFile, loadText } from '../config/load.js'
import type { Loaded } from '../config/load.js'
import { numberFrom } from '../config/quantities.js'
import { isFromHere } from '../loopback.js'
import { brokerOf } from '../broker-drivers.js'
import { filesOf } from '../reload.js'
import { UnifrostServer } from '../server.js'
import type { ServerParts } from '../server.js'
import { Watching } from '../watching.js'
import { shownPath } from './check.js'
import type { Context, Options } from './context.js'
import { configFile, UsageError } from './context.js'

/** Serves until a signal ends it. */
export async function start(options: Options, context: Context): Promise<number> {
  const file = configFile(options, context)
  const loaded =
    file === undefined ? withoutFile(options, context) : fromFile(file, options, context)
  const { level } = loaded.config.log
  const logger = makeLogger({ level, base: null }, { write: (line: string) => context.out(line) })
  const parts: ServerParts = { logger, ...(file === undefined && { withoutKey: isFromHere }) }
  for (const warning of loaded.warnings) logger.warn(warning)
  const server = await UnifrostServer.start(loaded, parts).catch((error: unknown) => {
    throw explained(error, loaded)
  })
  const { listen, admin } = server.ports
  const scheme = loaded.config.listen.tls === undefined ? 'http' : 'https'
  const address = `${scheme}://${loaded.config.listen.host ?? 'localhost'}:${listen}`
  logger.info(
    { address, ...(admin !== undefined && { admin }), broker: brokerOf(loaded.config) },
    'Serving.',
  )
  if (file === undefined) context.err(greeting(address))
  const stop = file === undefined ? undefined : reloading(server, loaded, logger, context)
  try {
    return await ended(server, logger, context)
  } finally {
    stop?.()
  }
}

function fromFile(file: string, { port }: Options, context: Context): Loaded {
  if (port !== undefined)
    throw new UsageError('--port is for a start without a file. The file has listen.port.')
  return loadFile(shownPath(file, context), context.env)
}

/** In memory, on this machine only, for whoever is on it. */
function withoutFile({ port = '8080' }: Options, { env, cwd }: Context): Loaded {
  const number = numberFrom(port)
  if (!Number.isInteger(number) || number! < 0 || number! > 65_535)
    throw new UsageError('--port takes a port from 0 to 65535.')
  const text = `listen: { host: 127.0.0.1, port: ${number} }\ntopics: [{ match: '*', subscribe: anyone }]\ndrain: { over: 0 }\n`
  return loadText('(no file)', text, env, cwd)
}

function greeting(address: string): string {
  return `No unifrost.yaml here: serving in memory, for this machine only. unifrost init writes a file.

  watch:    curl -N '${address}/events?topic=news'
  in a page: new EventSource('${address}/events?topic=news').addEventListener('news', (e) => …)
  publish:  curl ${address}/publish --json '{"topic":"news","data":"hello"}'

`
}

/** Reads the file again at SIGHUP, and when something changes beside it or beside a file that it names. */
function reloading(
  server: UnifrostServer,
  first: Loaded,
  logger: pino.Logger,
  context: Context,
): () => void {
  const [file] = first.files as [string]
  const failed = (error: unknown) =>
    logger.error({ err: error }, 'The file was not taken over: nothing has changed.')
  let busy = Promise.resolve()
  const watching = new Watching(look, (error) =>
    logger.warn({ err: error }, 'A folder is not watched. SIGHUP reads the file.'),
  )
  async function reload(): Promise<void> {
    const loaded = loadFile(file, context.env)
    const { changed, waiting } = await server.reload(loaded)
    if (!changed) return
    logger.level = loaded.config.log.level
    watching.see(filesOf(loaded))
    for (const warning of loaded.warnings) logger.warn(warning)
    logger.info({}, 'The file was read again and is in effect.')
    if (waiting.length > 0) logger.warn({ keys: waiting }, 'These keys take effect with a restart.')
  }
  function look(): void {
    busy = busy.then(reload).catch(failed)
  }
  watching.see(filesOf(first))
  const stop = context.onSignal('SIGHUP', look)
  return () => {
    stop()
    watching.close()
  }
}

function explained(error: unknown, { config }: Loaded): unknown {
  const { code, port } = Object(error) as { code?: string; port?: number }
  if (code === 'EADDRINUSE') {
    const key = port === config.admin?.port ? 'admin.port' : 'listen.port'
    return new Error(
      `Port ${port} is taken by another process. Choose another one (${key}), or 0 for any free one.`,
    )
  }
  if (code === 'EACCES' && port !== undefined)
    return new Error(
      `This user may not listen on port ${port}. Ports from 1024 on are open to all.`,
    )
  if (code === 'EADDRNOTAVAIL')
    return new Error(
      `This machine does not have the address ${config.listen.host}. Leave listen.host out for all addresses.`,
    )
  return error
}

/** Waits for SIGTERM or SIGINT; then the streams are ended. Another one ends the process at once. */
function ended(
  server: UnifrostServer,
  logger: ServerParts['logger'],
  context: Context,
): Promise<number> {
  return new Promise((resolve) => {
    let leaving = false
    const stops: (() => void)[] = []
    const leave = () => {
      if (leaving) {
        context.exit(1)
        return
      }
      leaving = true
      logger.info({}, 'Leaving: the streams are ended. A second signal ends the process at once.')
      const end = (code: number) => {
        stops.forEach((stop) => stop())
        resolve(code)
      }
      server.close().then(
        () => end(0),
        (error: unknown) => {
          logger.error({ err: error }, 'The server did not close as it should.')
          end(1)
        },
      )
    }
    stops.push(context.onSignal('SIGTERM', leave), context.onSignal('SIGINT', leave))
  })
}
