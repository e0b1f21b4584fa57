export type Jose = typeof import('jose')

/** Loads `jose` on first use: an application with a `verify` of its own does without. */
export async function loadJose(): Promise<Jose> {
  try {
    return await import('jose')
  } catch (error) {
    // jose is an ES module. Node's `require` takes those, and that of Jest does not.
    const refused = (error as NodeJS.ErrnoException).code === 'ERR_REQUIRE_ESM'
    if (!refused || typeof require !== 'function') throw error
    return importByNode(require.resolve('jose'))
  }
}

/** Imports a file by Node's own loader, also where Jest has put itself in the place of it. */
async function importByNode(path: string): Promise<Jose> {
  const { constants, runInThisContext } = await import('node:vm')
  const { pathToFileURL } = await import('node:url')
  const program = `import(${JSON.stringify(pathToFileURL(path).href)})`
  const importModuleDynamically = constants.USE_MAIN_CONTEXT_DEFAULT_LOADER
  return (await runInThisContext(program, { importModuleDynamically })) as Jose
}
