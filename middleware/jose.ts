export type Jose = typeof import('jose')

/** Loads `jose` on first use: an application with a `verify` of its own does without. */
export async function loadJose(): Promise<Jose> {
  try {
    return await import('jose')
  } catch (error) {
    // jose is an ES module. Node's `require` takes those, and that of Jest does not. Node's own is
    // out of Jest's reach, and has no need of Jest: jose's code is neither mocked nor transformed.
    const refused = (error as NodeJS.ErrnoException).code === 'ERR_REQUIRE_ESM'
    if (!refused || typeof __filename !== 'string') throw error
    const { createRequire } = process.getBuiltinModule('node:module')
    return createRequire(__filename)('jose') as Jose
  }
}
