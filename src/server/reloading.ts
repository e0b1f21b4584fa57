import type { Logger as PinoLogger } from 'pino'
import { loadFile } from './config/load.js'
import type { Loaded } from './config/load.js'
import { filesOf } from './reload.js'
import type { UnifrostServer } from './server.js'
import { Watching } from './watching.js'

/** Reads a file again when it is told to, and when something changes beside what it depends on. */
export interface Reloads {
  look(): void
  close(): void
}

export function reloading(
  server: UnifrostServer,
  first: Loaded,
  logger: PinoLogger,
  env: Readonly<Record<string, string | undefined>>,
): Reloads {
  const [file] = first.files as [string]
  let busy = Promise.resolve()
  const watching = new Watching(look, (error) =>
    logger.warn({ err: error }, 'A folder is not watched. SIGHUP reads the file.'),
  )
  async function reload(): Promise<void> {
    const loaded = loadFile(file, env)
    const { changed, waiting } = await server.reload(loaded)
    if (!changed) return
    logger.level = loaded.config.log.level
    watching.see(filesOf(loaded))
    for (const warning of loaded.warnings) logger.warn(warning)
    logger.info('The file was read again and is in effect.')
    if (waiting.length > 0) logger.warn({ keys: waiting }, 'These keys take effect with a restart.')
  }
  function look(): void {
    busy = busy.then(reload).catch((error: unknown) => {
      logger.error({ err: error }, 'The file was not taken over: nothing has changed.')
    })
  }
  watching.see(filesOf(first))
  return { look, close: () => watching.close() }
}
