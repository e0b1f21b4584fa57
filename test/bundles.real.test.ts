/** @needs npm to install the packed package and the bundlers */
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { fromNpm } from './support/from-npm.js'

jest.setTimeout(300_000)

const root = join(__dirname, '..')
const run = promisify(execFile)

/** With only one library of each pair, and none of those that need no other. */
let folder: string
let bundlers: string

beforeAll(async () => {
  bundlers = await fromNpm('bundlers', ['esbuild@0.28', 'webpack@5', 'rollup@4'])
  folder = await mkdtemp(join(tmpdir(), 'unifrost-bundles-'))
  await run('npm', ['pack', '--pack-destination', folder], { cwd: root })
  const tarball = (await readdir(folder)).find((name) => name.endsWith('.tgz'))!
  await writeFile(join(folder, 'package.json'), '{ "name": "app", "private": true }\n')
  const wanted = ['nats@2', 'kafkajs@2.2.4', 'ioredis@5']
  await run('npm', ['install', '--no-audit', '--no-fund', tarball, ...wanted], { cwd: folder })
  const names = ['nats', 'jetstream', 'kafka', 'redis', 'redis-streams', 'postgres', 'sqs']
  names.push('google-pubsub', 'azure-service-bus', 'rabbitmq')
  const paths = [...names.map((name) => `drivers/${name}`), 'directories/redis', 'directories/nats']
  const uses = `
    const driver = natsDriver('nats://127.0.0.1:1', { connectTimeout: 50 })
    const streamer = new Streamer(driver)
    driver.connect().catch((error) => console.log(/npm install/.test(error.message) ? 'no library' : 'a library'))
      .then(() => streamer.close())`
  const named = (name: string, from: string) => `{ ${name} } = require('unifrost${from}')`
  await writeFile(
    join(folder, 'server.cjs'),
    `const ${named('Streamer', '')}\nconst ${named('natsDriver', '/drivers/nats')}
    globalThis.all = [${paths.map((path) => `require('unifrost/${path}')`).join(', ')}]${uses}`,
  )
  await writeFile(
    join(folder, 'server.mjs'),
    `import { Streamer } from 'unifrost'\nimport { natsDriver } from 'unifrost/drivers/nats'
    ${paths.map((path, i) => `import * as m${i} from 'unifrost/${path}'`).join('\n')}
    globalThis.all = [${paths.map((_, i) => `m${i}`).join(', ')}]${uses}`,
  )
})

afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

/** Says what the bundle that `program` makes of a server prints. */
async function bundled(program: string, out: string): Promise<string> {
  const script = `const { createRequire } = require('node:module')
    const from = createRequire(${JSON.stringify(join(bundlers, 'x.js'))})\n${program}`
  await run(process.execPath, ['-e', script], { cwd: folder })
  return (await run(process.execPath, [out], { cwd: folder })).stdout
}

describe.each(['mjs', 'cjs'])('a server in .%s with one library of each pair', (kind) => {
  test('is bundled by esbuild', async () => {
    const out = `esbuild-${kind}.cjs`
    const options = {
      entryPoints: [`server.${kind}`],
      bundle: true,
      platform: 'node',
      outfile: out,
    }
    const program = `from('esbuild').buildSync(${JSON.stringify(options)})`
    expect(await bundled(program, out)).toBe('a library\n')
  })

  test('is bundled by webpack', async () => {
    const options = {
      entry: `./server.${kind}`,
      target: 'node20',
      mode: 'development',
      devtool: false,
      output: { path: folder, filename: `webpack-${kind}.cjs` },
    }
    const program = `from('webpack')(${JSON.stringify(options)}, (error, stats) => {
      if (error || stats.hasErrors()) { console.error(error ?? stats.toString('errors-only')); process.exit(1) }
    })`
    expect(await bundled(program, `webpack-${kind}.cjs`)).toBe('a library\n')
  })
})

test('a server is bundled by rollup, which leaves packages where they are', async () => {
  const program = `import(${JSON.stringify(join(bundlers, 'rollup/dist/es/rollup.js'))}).then(async ({ rollup }) => {
    const bundle = await rollup({ input: 'server.mjs', onwarn() {} })
    await bundle.write({ file: 'rollup.mjs', format: 'es' })
  })`
  expect(await bundled(program, 'rollup.mjs')).toBe('a library\n')
})

test('an error of the CommonJS copy is an error to the ES copy, and the other way round', async () => {
  const program = `
    import { createRequire } from 'node:module'
    import { UnifrostError, NoClientError } from 'unifrost'
    const other = createRequire(import.meta.url)('unifrost')
    const wrong = [
      new NoClientError() instanceof other.UnifrostError,
      new other.NoClientError() instanceof UnifrostError,
      !(new other.NoClientError() instanceof other.ClientIdError),
      !(new Error() instanceof UnifrostError),
    ].flatMap((right, index) => (right ? [] : [index]))
    console.log(JSON.stringify(wrong))`
  await writeFile(join(folder, 'copies.mjs'), program)
  expect((await run(process.execPath, ['copies.mjs'], { cwd: folder })).stdout).toBe('[]\n')
})
