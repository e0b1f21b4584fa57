import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(__dirname, '..')
const read = (path: string) => JSON.parse(readFileSync(join(root, path), 'utf8'))
const manifest = read('package.json')

/** The entry points. `exports` is the one list of them. */
const entries = Object.entries<Record<string, Record<string, string>>>(manifest.exports)
  .filter(([entry]) => entry !== './package.json')
  .map(([entry, conditions]) => ({ entry, name: entry.slice(2), conditions }))

/** What the text stands for in a table whose keys may end in `*`, such as `drivers/*`. */
function lookUp(table: Record<string, string[]>, name: string): string | undefined {
  for (const [key, [path]] of Object.entries(table)) {
    if (key === name) return path
    const stem = key.endsWith('*') ? key.slice(0, -1) : undefined
    if (stem !== undefined && name.startsWith(stem))
      return path!.replace('*', name.slice(stem.length))
  }
  return undefined
}

describe.each(entries)('the entry $entry', ({ name, conditions }) => {
  const source = conditions.import!.types!.replace(/^\.\/dist\/esm\/(.*)\.d\.ts$/, '$1')

  test('has a source, and is the same file for all four conditions', () => {
    expect(existsSync(join(root, `${source}.ts`))).toBe(true)
    const both = (kind: string) => ({
      types: `./dist/${kind}/${source}.d.ts`,
      default: `./dist/${kind}/${source}.js`,
    })
    expect(conditions).toEqual({ import: both('esm'), require: both('cjs') })
  })

  test('is found by compilers that know no exports', () => {
    const found = name === '' ? manifest.types : lookUp(manifest.typesVersions['*'], name)
    expect(found).toBe(conditions.import!.types)
  })

  test('means its source inside the repo', () => {
    const { paths } = read('tsconfig.json').compilerOptions
    expect(lookUp(paths, name === '' ? 'unifrost' : `unifrost/${name}`)).toBe(`./${source}.ts`)
  })
})

test('the manifest has what a release with provenance needs', () => {
  expect(manifest.publishConfig).toEqual({ access: 'public', provenance: true })
  expect(manifest.repository.url).toBe('git+https://github.com/unifrost/unifrost.git')
  expect(manifest.homepage).toMatch(/^https:/)
  expect(manifest.bugs.url).toMatch(/^https:/)
})

test('what the errors refer to has an address on the web', () => {
  const files = ['src/directories/redis/engine.ts', 'src/directories/nats/bucket.ts']
  for (const file of files) {
    const text = readFileSync(join(root, file), 'utf8')
    const [, page, heading] =
      /https:\/\/github\.com\/unifrost\/unifrost\/blob\/main\/(\S+)#(\w+)/.exec(text)!
    expect(readFileSync(join(root, page!), 'utf8').toLowerCase()).toContain(`# ${heading}\n`)
  }
})
