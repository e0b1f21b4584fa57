/**
 * Loads a broker's library, which is an optional peer dependency, when it is first needed.
 *
 * @param importing Imports it, such as `() => import('pg')`. Where users bundle their server and may
 *   have another library instead, the import stands in a `try`: see {@link whenAbsent}.
 * @throws Error that names the command to install it, where it is not installed.
 */
export async function loadPeer<T>(
  driver: string,
  library: string,
  importing: () => Promise<T | undefined>,
): Promise<T> {
  const loaded = await importing().catch((error: unknown) => whenAbsent(library, error))
  if (loaded !== undefined) return loaded
  throw new Error(
    `${driver} needs the package ${library} for that. Run \`npm install ${library}\`, ` +
      'or hand it a connected client of your own.',
  )
}

/**
 * What the import of an optional library comes to where it is not installed: undefined. Other errors
 * are thrown. It is for the `catch` of that import. Bundlers take an import for optional only where it
 * stands in a `try` of its own with its name in full:
 *
 *     try {
 *       return await import('nats')
 *     } catch (error) {
 *       return whenAbsent('nats', error)
 *     }
 */
export function whenAbsent(library: string, error: unknown): undefined {
  const { code, message } = error as NodeJS.ErrnoException
  // One that is there and broken, or that lacks a part of its own, is not absent.
  const absent = code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND'
  if (absent && message.includes(`'${library}'`)) return undefined
  throw error
}
