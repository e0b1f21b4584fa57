/**
 * Loads a broker's library, which is an optional peer dependency, when it is first needed.
 *
 * @param importing Imports it, such as `() => import('pg')`.
 * @throws Error that names the command to install it, where it is not installed.
 */
export async function loadPeer<T>(
  driver: string,
  library: string,
  importing: () => Promise<T>,
): Promise<T> {
  const loaded = await tryPeer(library, importing)
  if (loaded !== undefined) return loaded
  throw new Error(
    `${driver} needs the package ${library} for that. Run \`npm install ${library}\`, ` +
      'or hand it a connected client of your own.',
  )
}

/** Loads a library like {@link loadPeer}. Undefined where it is not installed. */
export async function tryPeer<T>(
  library: string,
  importing: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await importing()
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    // One that is there and broken, or that lacks a part of its own, is not absent.
    const absent = code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND'
    if (absent && message.includes(`'${library}'`)) return undefined
    throw error
  }
}
