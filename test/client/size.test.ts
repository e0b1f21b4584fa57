import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

const root = join(__dirname, '../../src/client')

/** What an app's bundler makes of an entry, in bytes of gzip. Parts that are loaded when needed stay outside. */
async function size(entry: string): Promise<number> {
  const { outputFiles } = await build({
    entryPoints: [join(root, `${entry}.ts`)],
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: 'es2020',
    external: ['react', 'vue', 'solid-js', './fetch.js', './run.js', './share.js'],
  })
  return gzipSync(outputFiles[0]!.contents, { level: 9 }).length
}

test.each([
  ['index', 3_500],
  ['fetch', 1_200],
  ['run', 2_600],
  ['react', 700],
  ['vue', 400],
  ['svelte', 300],
  ['solid', 400],
])('%s has at most %i bytes of gzip', async (entry, most) => {
  const bytes = await size(entry)
  process.stdout.write(`unifrost/${entry === 'index' ? 'client' : entry}: ${bytes} bytes of gzip\n`)
  expect(bytes).toBeLessThanOrEqual(most)
})

test('what is compiled is ES2020', async () => {
  const entryPoints = [join(root, 'index.ts')]
  const [now, old] = await Promise.all(
    ['es2022', 'es2020'].map((target) =>
      build({ entryPoints, bundle: true, write: false, format: 'esm', target }),
    ),
  )
  expect(now!.outputFiles[0]!.text).toBe(old!.outputFiles[0]!.text)
})
