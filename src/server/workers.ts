import type { Logger as PinoLogger } from 'pino'
import type { Driver } from '../index.js'
import { startWorkers } from '../hub/index.js'
import { brokerOf, driverFor } from './broker-drivers.js'
import type { Context } from './commands/context.js'
import type { Loaded } from './config/load.js'
import { reloading } from './reloading.js'
import { UnifrostServer } from './server.js'
import { streamerParts } from './streamer-options.js'
import { Terms } from './terms.js'

/**
 * Serves by several processes: a hub has the broker, and workers share the ports. Each of them runs this
 * function. It returns in none of them before a signal has ended it.
 */
export async function serveByWorkers(
  loaded: Loaded,
  logger: PinoLogger,
  context: Context,
): Promise<number> {
  const { config } = loaded
  const { workers = 'auto', listen, drain, history } = config
  const terms = new Terms(loaded)
  const kindOf = await kindsOf(loaded)
  const made = await startWorkers({
    workers,
    port: listen.port,
    ...(listen.host !== undefined && { host: listen.host }),
    ...(kindOf && { kindOf }),
    driver: () => driverFor(config),
    drain: drain.over,
    hub: {
      history: {
        maxBytes: history.maxBytes,
        ...(history.maxAge !== undefined && { maxAge: history.maxAge }),
      },
    },
    streamer: streamerParts(config, terms, logger),
    report: (message) => logger.warn(message),
    async app(streamer) {
      const server = new UnifrostServer(streamer, terms, loaded, { logger })
      reloading(server, loaded, logger, context.env)
      await server.listenForAdmin()
      return server.mainServer()
    },
  })
  if (made.role === 'primary') {
    const host = listen.host ?? 'localhost'
    const scheme = listen.tls === undefined ? 'http' : 'https'
    const address = `${scheme}://${host}:${made.port}`
    logger.info({ address, broker: brokerOf(config), workers }, 'Serving.')
    context.onSignal('SIGUSR2', () => {
      made.restart().catch((error: unknown) => logger.error({ err: error }, 'No restart.'))
    })
  }
  // What ends a process by workers is its signal.
  return new Promise<number>(() => undefined)
}

/** What names mean to the broker. A driver says so without connecting. */
async function kindsOf({ config }: Loaded): Promise<Driver['kindOf']> {
  const driver = await driverFor(config)
  await driver.close()
  const { kindOf } = driver
  return kindOf && ((topic) => kindOf.call(driver, topic))
}
