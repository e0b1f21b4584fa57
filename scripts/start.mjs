// Builds what is not built, then runs the demo in this same process: what ends `npm start` ends it.
import { fileURLToPath } from 'node:url'

await import('./build.mjs')
// The demo imports the package by its name, as a user does, and not the sources.
process.env.TSX_TSCONFIG_PATH = fileURLToPath(new URL('../examples/tsconfig.json', import.meta.url))
const { register } = await import('tsx/esm/api')
register()
await import('../examples/demo/server.ts')
