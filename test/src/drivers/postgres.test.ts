import { EventEmitter } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { Pool } from 'pg'
import ts from 'typescript'
import { pause } from '../../../src/driver-kit/index.js'
import { postgresDriver } from '../../../src/drivers/postgres.js'
import type {
  PostgresClient,
  PostgresConfig,
  PostgresDriverOptions,
} from '../../../src/drivers/postgres.js'
import { recordingSink } from '../../../src/testing/index.js'

const root = join(__dirname, '../../..')

describe('postgresDriver refuses at once', () => {
  test.each([
    ['', 'as the address'],
    ['127.0.0.1', 'postgres://user:password@host'],
    ['postgres://', 'as the address'],
    ['postgres:///app', 'as the address'],
    ['http://127.0.0.1:5432', 'postgres://user:password@host'],
    ['postgres://host:port/app', 'as the address'],
    ['postgres://a:1,b:2/app', 'as the address'],
    [{}, 'settings of pg with host'],
    [{ host: '' }, 'settings of pg with host'],
    [{ connectionString: 'app' }, 'as the address'],
    [undefined, 'a connected pg.Client'],
    [null, 'a connected pg.Client'],
    [42, 'a connected pg.Client'],
  ])('%p as a target', (target, part) => {
    const make = () => postgresDriver(target as PostgresConfig)
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_UNIFROST_OPTIONS' }))
    expect(make).toThrow(part)
  })

  test('a pool', () => {
    const make = () => postgresDriver(new Pool() as unknown as PostgresClient)
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_UNIFROST_OPTIONS' }))
    expect(make).toThrow("give it the pool's settings")
  })

  test.each(['http://ann:s3cret@127.0.0.1', 'postgres://ann:s3cret@'])(
    'and keeps the password of %s to itself',
    (address) => {
      expect(() => postgresDriver(address)).toThrow(/^(?!.*s3cret)/s)
    },
  )

  test.each([
    [{ encoding: 'latin1' }, 'encoding'],
    [{ subscribeTimeout: 0 }, 'subscribeTimeout'],
    [{ connectTimeout: Infinity }, 'connectTimeout'],
    [{ pingInterval: -1 }, 'pingInterval'],
    [{ pingTimeout: NaN }, 'pingTimeout'],
    [{ address: 'orders' }, 'address'],
    [{ payload: 'orders' }, 'payload'],
    [{ sources: ['a'] }, 'route'],
    [{ sources: ['a'], route: () => 'b', address: () => 'c' }, 'not both'],
    [{ adress: () => 'x' }, 'adress'],
  ])('%p as options', (options, name) => {
    const make = () => postgresDriver('postgres://127.0.0.1', options as PostgresDriverOptions)
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_UNIFROST_OPTIONS' }))
    expect(make).toThrow(name)
  })

  test.each([
    ['', 'must not be empty'],
    ['a\0b', 'must have no NUL'],
    ['a\ud800b', 'must have no lone surrogates'],
    ['x'.repeat(64), 'has 64 bytes in UTF-8, and PostgreSQL takes 63'],
    ['é'.repeat(32), 'has 64 bytes in UTF-8, and PostgreSQL takes 63'],
    [42, 'has to be a string'],
    [undefined, 'has to be a string'],
  ])('%j as a channel, before PostgreSQL is asked', async (name, rule) => {
    const client = fakeClient()
    const driver = postgresDriver(client, { address: () => name as string })
    await expect(driver.subscribe('topic', recordingSink())).rejects.toMatchObject({
      code: 'ERR_UNIFROST_TOPIC_NAME',
      message: expect.stringContaining(rule),
    })
    expect(client.queries).toEqual([])
    await driver.close()
  })

  test('a source with such a name, too', async () => {
    const options = { sources: ['fine', 'x'.repeat(64)], route: () => 'topic' }
    const driver = postgresDriver(fakeClient(), options)
    await expect(driver.subscribe('topic', recordingSink())).rejects.toThrow('has 64 bytes')
    await driver.close()
  })
})

test('without pg the error names the command that installs it', async () => {
  jest.resetModules()
  jest.doMock('pg', () => {
    throw Object.assign(new Error("Cannot find module 'pg'"), { code: 'MODULE_NOT_FOUND' })
  })
  const fresh = await import('../../../src/drivers/postgres.js')
  const driver = fresh.postgresDriver('postgres://127.0.0.1')
  await expect(driver.connect()).rejects.toThrow('npm install pg')
  jest.resetModules()
  jest.dontMock('pg')
})

describe('postgresDriver on a client', () => {
  test('asks one query at a time, and what comes meanwhile goes with the next', async () => {
    const client = fakeClient()
    const driver = postgresDriver(client)
    await driver.connect()
    const names = ['a', 'b', 'c', 'd']
    await Promise.all(names.map((name) => driver.subscribe(name, recordingSink())))
    expect(client.listens()).toEqual(['LISTEN "a"', 'LISTEN "b";LISTEN "c";LISTEN "d"'])
    expect(client.mostAtOnce).toBe(1)
    await driver.close()
    expect(client.queries.at(-1)).toBe('UNLISTEN "a";UNLISTEN "b";UNLISTEN "c";UNLISTEN "d"')
    expect(client.eventNames()).toEqual([])
  })

  test('takes no server for dead that has thousands of channels to answer for', async () => {
    const client = fakeClient(undefined, {}, 100)
    const driver = postgresDriver(client, { pingInterval: 20, pingTimeout: 200 })
    const names = Array.from({ length: 1_600 }, (_, index) => `c${index}`)
    const sinks = names.map(() => recordingSink())
    await Promise.all(names.map((name, index) => driver.subscribe(name, sinks[index]!)))
    expect(client.listens()).toHaveLength(5)
    expect(sinks.filter(({ entries }) => entries.length > 0)).toEqual([])
    await driver.close()
  })

  test('refuses a topic where the server knows no LISTEN, and keeps the connection', async () => {
    const client = fakeClient((sql) => {
      if (!sql.startsWith('LISTEN')) return
      throw Object.assign(new Error('LISTEN is not implemented'), {
        severity: 'ERROR',
        code: '0A000',
      })
    })
    const driver = postgresDriver(client)
    await expect(driver.subscribe('x', recordingSink())).rejects.toThrow(
      'refused LISTEN on "x" (LISTEN is not implemented, 0A000)',
    )
    expect(client.queries.filter((sql) => sql.startsWith('SELECT'))).toHaveLength(1)
    await driver.close()
  })

  test('tries anew where the server could not do it just now', async () => {
    let tries = 0
    const client = fakeClient((sql) => {
      if (!sql.startsWith('LISTEN') || tries++ > 0) return
      throw Object.assign(new Error('out of memory'), { severity: 'ERROR', code: '53200' })
    })
    const driver = postgresDriver(client)
    await driver.subscribe('x', recordingSink())
    expect(tries).toBe(2)
    await driver.close()
  })

  test('of a standby is refused, with what to do', async () => {
    const driver = postgresDriver(fakeClient(undefined, { standby: true }))
    const primary =
      "can't LISTEN (it is a standby, in recovery, 25006). Give the address of the primary"
    await expect(driver.connect()).rejects.toThrow(primary)
    await driver.close()
  })
})

/** A client that answers every query after some milliseconds. */
function fakeClient(check: (sql: string) => void = () => undefined, row = {}, latency = 0) {
  const queries: string[] = []
  let atOnce = 0
  const client = Object.assign(new EventEmitter(), {
    queries,
    mostAtOnce: 0,
    listens: () => queries.filter((sql) => sql.startsWith('LISTEN')),
    async query(sql: string) {
      queries.push(sql)
      client.mostAtOnce = Math.max(client.mostAtOnce, ++atOnce)
      await pause(latency)
      atOnce--
      check(sql)
      return { rows: [row] }
    },
  })
  return client satisfies PostgresClient
}

/**
 * What docs/drivers/write-your-own.md promises: everything that this driver is made of can be imported
 * by whoever has the package. Inside the repo, an entry of the package is imported by its file, and
 * what the main entry passes on by the file that it comes from.
 */
test('the driver is made of public exports only', () => {
  const folder = join(root, 'src/drivers/postgres')
  const files = [`${folder}.ts`, ...readdirSync(folder).map((name) => join(folder, name))]
  const isOwn = (path: string) => files.includes(join(root, path))
  const imports = files.flatMap(importsOf)
  const wrong = imports.filter(({ from, names }) => {
    if (from === 'pg' || isOwn(from) || entries.has(from)) return false
    return !names.every((name) => publicNames.has(`${from} ${name}`))
  })
  expect(wrong).toEqual([])
  // Or this test would see nothing.
  expect(imports).toContainEqual(
    expect.objectContaining({
      from: 'src/driver-kit/index.ts',
      names: expect.arrayContaining(['Link']),
    }),
  )
  expect(imports).toContainEqual({ from: 'src/errors.ts', names: ['OptionsError'] })
})

/** The source of each entry of the package. */
const { exports: exported } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  exports: Record<string, { import?: { default: string } } | string>
}
const entries = new Set(
  Object.values(exported).flatMap((entry) =>
    typeof entry === 'string' || entry.import === undefined
      ? []
      : [entry.import.default.replace('./dist/esm/', '').replace(/\.js$/, '.ts')],
  ),
)

/** What the main entry passes on: the file that it comes from, and its name. */
const publicNames = new Set(
  importsOf(join(root, 'src/index.ts')).flatMap(({ from, names }) =>
    names.map((name) => `${from} ${name}`),
  ),
)

interface Import {
  /** A file of this repo, or a package. */
  from: string
  /** `*` for all of them. */
  names: string[]
}

/** Every import and re-export of a file, `import()` included. */
function importsOf(file: string): Import[] {
  const found: Import[] = []
  const add = (specifier: ts.Node | undefined, names: string[]) => {
    if (specifier === undefined || !ts.isStringLiteral(specifier)) return
    const { text } = specifier
    const from = text.startsWith('.') ? relative(root, join(dirname(file), text)) : text
    found.push({ from: from.replace(/\.js$/, '.ts'), names })
  }
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      const bindings = node.importClause?.namedBindings
      const named = bindings !== undefined && ts.isNamedImports(bindings) ? bindings : undefined
      add(node.moduleSpecifier, named?.elements.map(nameOf) ?? ['*'])
    } else if (ts.isExportDeclaration(node)) {
      const clause = node.exportClause
      const named = clause !== undefined && ts.isNamedExports(clause) ? clause : undefined
      add(node.moduleSpecifier, named?.elements.map(nameOf) ?? ['*'])
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0], ['*'])
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add(node.argument.literal, ['*'])
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true))
  return found
}

function nameOf(element: ts.ImportSpecifier | ts.ExportSpecifier): string {
  return (element.propertyName ?? element.name).text
}
