import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { keysTable } from '../../src/server/config/docs.js'
import { effective } from '../../src/server/config/effective.js'
import { jsonSchema } from '../../src/server/config/json-schema.js'
import { loadFile, loadText } from '../../src/server/config/load.js'
import { ConfigError } from '../../src/server/config/problem.js'
import { WRONG_FILES } from './wrong-files.js'

const nowhere = join(tmpdir(), 'there-is-no-such-folder')
const load = (text: string, env: Record<string, string> = {}) =>
  loadText('unifrost.yaml', text, env, nowhere)

function mistakesIn(text: string, env: Record<string, string> = {}): string[] {
  try {
    load(text, env)
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.message.split('\n')
  }
}

test('there are sixty wrong files', () => {
  expect(WRONG_FILES.length).toBeGreaterThanOrEqual(60)
})

test.each(WRONG_FILES)('%s is told with its place and a help', (_name, text, at, help) => {
  const mistakes = mistakesIn(text)
  expect(mistakes[0]).toMatch(/^unifrost\.yaml:\d+:\d+: /)
  expect(mistakes.join('\n')).toContain(`unifrost.yaml:${at}`)
  expect(mistakes.join('\n')).toMatch(help)
})

test('all mistakes are told at once, in the order of the file', () => {
  const mistakes = mistakesIn('listen: { port: a }\nlimts: {}\ndrain: { over: 1 }')
  expect(mistakes.map((line) => line.split(':')[1])).toEqual(['1', '2', '3'])
})

test('a secret is shown neither in an error nor in the effective configuration', async () => {
  const secret = 'VERY-SECRET-VERY-SECRET-VERY-SECRET'
  const texts = [
    `publish: { keys: ${secret} }`,
    `publish: { keys: [{ key: [${secret}] }] }`,
    `publish: { keys: [{ key: a, tpics: ${secret} }] }`,
    `auth: { issuers: [{ issuer: a, audience: b, algorithms: ${secret}, secret: ${secret} }] }`,
    `broker: { redis: { url: 'http://me:${secret}@host' } }`,
    `broker: { nats: { servers: nats://a, password: { a: ${secret} } } }`,
    `publish: { keys: ['${secret} ${secret}'] }`,
    `publish: { keys: [${secret}, ${secret}] }`,
    `publish: { keys: ["${secret}] }`,
  ]
  for (const text of texts) {
    const mistakes = mistakesIn(text)
    expect(mistakes).not.toEqual([])
    expect(mistakes.join('\n')).not.toContain(secret)
  }
  expect(mistakesIn("listen: { port: '${PASSWORD}' }", { PASSWORD: secret })[0]).not.toContain(
    secret,
  )

  const right = load(
    `broker: { nats: { servers: 'nats://me:${secret}@a', password: ${secret} } }
publish: { keys: [${secret}, { key: ${secret}2, topics: [a] }] }
auth: { issuers: [{ issuer: a, audience: b, algorithms: [HS256], secret: ${secret} }] }`,
  )
  expect(effective(right)).not.toContain(secret)
  expect(effective(right)).toContain('(hidden)')
})

test('values come from the environment and from files', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'unifrost-config-'))
  try {
    await writeFile(join(folder, 'publish-key'), 'the-key-of-a-file\n')
    const file = join(folder, 'unifrost.yaml')
    await writeFile(
      file,
      "listen: { port: '${PORT}', host: '${HOST:-127.0.0.1}' }\n" +
        "publish: { keys: ['${file:publish-key}'] }\ncors: { origins: ['https://a.$$.example'] }",
    )
    const env = {
      PORT: '81',
      UNIFROST__LIMITS__CONNECTIONS_PER_ADDRESS: '7',
      UNIFROST__LOG__LEVEL: 'warn',
    }
    const { config, files } = loadFile(file, { ...env, UNIFROST_PORT: 'tcp://10.0.0.1:80' })
    expect(config.listen).toMatchObject({ port: 81, host: '127.0.0.1' })
    expect(config.publish!.keys).toEqual([{ key: 'the-key-of-a-file', topics: undefined }])
    expect(config.cors!.origins).toEqual(['https://a.$.example'])
    expect(config.limits.connectionsPerAddress).toBe(7)
    expect(config.log.level).toBe('warn')
    expect(files).toEqual([file, join(folder, 'publish-key')])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

test('a variable sets an item of a list, and a whole list', () => {
  const { config } = load('topics: [{ match: a }, { match: b }]', {
    UNIFROST__TOPICS__1__SUBSCRIBE: 'anyone',
    UNIFROST__CORS__ORIGINS: '["https://a.example"]',
  })
  expect(config.topics.map((rule) => rule.subscribe)).toEqual(['nobody', 'anyone'])
  expect(config.cors!.origins).toEqual(['https://a.example'])
})

test('what is wrong with a variable is told by its name', () => {
  expect(mistakesIn('', { UNIFROST__LISTEN__PROT: '1' })[0]).toMatch(
    /^environment variable UNIFROST__LISTEN__PROT: .*Did you mean PORT\?/,
  )
  expect(mistakesIn('', { UNIFROST__LISTEN__PORT: 'tcp://10.0.0.1:80' })[0]).toMatch(
    /^environment variable UNIFROST__LISTEN__PORT: .*service links/,
  )
})

test('an anchor gives its value, and a bomb of them is refused', () => {
  const { config } = load('listen: &a { port: 1 }\nadmin: { port: 2 }\nlog: &b { level: warn }')
  expect(config.listen.port).toBe(1)
  const bomb = ['a: &a [x, x, x, x, x, x, x, x]']
  for (let i = 1; i < 9; i++)
    bomb.push(
      `a${i}: &a${i} [${Array(8)
        .fill(`*a${i === 1 ? '' : i - 1}`)
        .join(',')}]`,
    )
  expect(mistakesIn(bomb.join('\n')).join('\n')).toContain('more than')
  expect(mistakesIn('a: &a [*a]')).not.toEqual([])
})

test('a file that is not there, or no file, is told', () => {
  expect(() => loadFile(join(nowhere, 'a.yaml'), {})).toThrow(/no such file.*unifrost init/)
  expect(() => loadFile(tmpdir(), {})).toThrow(/folder/)
})

const EXAMPLE = readFileSync(join(__dirname, '../../docs/server.md'), 'utf8').match(
  /```yaml\n([^]*?)```/,
)![1]!

test('mutated files give mistakes with a place, never a stack', () => {
  const mutated = fc
    .tuple(
      fc.nat(EXAMPLE.length - 1),
      fc.nat(12),
      fc.constantFrom(
        '',
        ' ',
        '\n',
        '\t',
        ':',
        '{',
        '}',
        '[',
        '*',
        '&a',
        '${',
        "'",
        '"',
        '- ',
        '|',
        '?',
        '!!x',
        '\0',
        '1',
        'é',
        '%',
        '#',
        '---\n',
      ),
    )
    .map(([at, cut, put]) => EXAMPLE.slice(0, at) + put + EXAMPLE.slice(at + cut))
  fc.assert(
    fc.property(mutated, (text) => {
      const mistakes = mistakesIn(text)
      expect(
        mistakes.filter((line) => !/^(unifrost\.yaml:\d+:\d+|environment)/.test(line)),
      ).toEqual([])
    }),
    { numRuns: Number(process.env.FUZZ ?? 300) },
  )
})

test('docs/server.md has every key as the schema has it', () => {
  const docs = readFileSync(join(__dirname, '../../docs/server.md'), 'utf8')
  const plain = (table: string) => table.replace(/ +\|/g, ' |').replace(/-+/g, '-')
  expect(plain(docs)).toContain(plain(keysTable()))
})

test("the JSON Schema has every key's description, and refuses others", () => {
  const json = JSON.stringify(jsonSchema())
  expect(json).toContain('"additionalProperties":false')
  expect(json).toContain('The port for browsers and publishers.')
  expect(JSON.stringify(jsonSchema().properties)).not.toContain('"takes"')
})
