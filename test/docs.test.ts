import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, extname, join, relative } from 'node:path'
import ts from 'typescript'
import { parseDocument } from 'yaml'
import type { Block } from './support/markdown.js'
import { blocksOf, proseOf } from './support/markdown.js'

// A compiler starts up here, which takes longer where everything runs at once.
jest.setTimeout(180_000)

const root = join(__dirname, '..')
const built = new Set(['.git', '.cache', 'node_modules', 'dist', 'coverage'])

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    // In a worktree of git's, `.git` is a file.
    if (built.has(entry.name)) return []
    if (entry.isDirectory()) return filesUnder(path)
    return entry.isFile() ? [path] : []
  })
}

const ours = filesUnder(root)
const docs = ours.filter((path) => path.endsWith('.md'))
const blocks = docs.flatMap(blocksOf)
const where = ({ file, line }: Block) => `${relative(root, file)}:${line}`
const of = (...languages: string[]) => blocks.filter(({ language }) => languages.includes(language))

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>
}

test('the docs that readers are sent to exist', () => {
  expect(docs.map((path) => relative(root, path))).toEqual(
    expect.arrayContaining([
      'CHANGELOG.md',
      'CONTRIBUTING.md',
      'README.md',
      'docs/architecture.md',
      'docs/protocol.md',
    ]),
  )
})

test('every block says what language it is in, one that is checked here or `text`', () => {
  const known = ['ts', 'js', 'json', 'sh', 'text', 'html', 'yaml', 'nginx', 'python', 'go', 'java']
  expect(
    blocks.filter(({ language }) => !known.includes(language)).map((block) => where(block)),
  ).toEqual([])
})

test('ts and js blocks compile against the sources', () => {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => ts.sys.readFile(path))
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  const snippets = new Map<string, { block: Block; text: string; preamble: number }>()
  for (const block of of('ts', 'js')) {
    const preamble = preambleOf(block)
    // Without an import it would share its names with all others of its kind.
    const text = `${preamble}${block.code}\nexport {}\n`
    const name = join(root, `snippet ${snippets.size}.${block.language}`)
    snippets.set(name, { block, text, preamble: preamble.split('\n').length - 1 })
  }
  const host = ts.createCompilerHost(options)
  const { fileExists, readFile, getSourceFile } = host
  host.fileExists = (name) => snippets.has(name) || fileExists(name)
  host.readFile = (name) => snippets.get(name)?.text ?? readFile(name)
  host.getSourceFile = (name, target, ...rest) => {
    const snippet = snippets.get(name)
    return snippet === undefined
      ? getSourceFile(name, target, ...rest)
      : ts.createSourceFile(name, snippet.text, target, true)
  }
  const program = ts.createProgram({
    rootNames: [...snippets.keys()],
    // Some blocks are for the browser.
    options: { ...options, lib: [...options.lib!, 'lib.dom.d.ts'], allowJs: true, checkJs: true },
    host,
  })
  const problems = [...snippets].flatMap(([name, { block, preamble }]) => {
    const source = program.getSourceFile(name)!
    return [
      ...program.getSyntacticDiagnostics(source),
      ...program.getSemanticDiagnostics(source),
    ].map(({ start, messageText }) => {
      const line = source.getLineAndCharacterOfPosition(start ?? 0).line - preamble + block.line
      const message = ts.flattenDiagnosticMessageText(messageText, ' ')
      return `${relative(root, block.file)}:${line} ${message}`
    })
  })
  expect(problems).toEqual([])
})

/** `<!-- with: name -->` above a block puts the block marked `run: name` or `as: name` before it. */
function preambleOf(block: Block): string {
  const name = block.marks.with
  if (name === undefined) return ''
  const found = blocks.find(
    ({ file, marks }) => file === block.file && (marks.run === name || marks.as === name),
  )
  if (found === undefined) {
    throw new Error(`${where(block)}: no block is marked <!-- as: ${name} -->.`)
  }
  return preambleOf(found) + found.code
}

test('a block that shows a file has its text; programs in other languages are files', () => {
  for (const block of blocks) {
    const { file } = block.marks
    if (['nginx', 'python', 'go', 'java'].includes(block.language) && file === undefined) {
      expect(`${where(block)} has no <!-- file: -->`).toBe('')
    }
    if (file === undefined) continue
    expect([where(block), block.code]).toEqual([
      where(block),
      readFileSync(join(root, file), 'utf8'),
    ])
  }
})

test('yaml blocks parse', () => {
  const wrong = of('yaml').filter(({ code }) => parseDocument(code).errors.length > 0)
  expect(wrong.map(where)).toEqual([])
})

test('json blocks parse', () => {
  for (const block of of('json')) {
    expect(() => {
      try {
        JSON.parse(block.code)
      } catch (cause) {
        throw new Error(where(block), { cause })
      }
    }).not.toThrow()
  }
})

test('commands in sh blocks and in the text exist', () => {
  const lines = [
    ...of('sh').map((block) => ({ at: where(block), text: block.code })),
    ...docs.map((file) => ({
      at: relative(root, file),
      text: [
        ...proseOf(file)
          .join('\n')
          .matchAll(/`([^`\n]+)`/g),
      ]
        .map(([, t]) => t)
        .join('\n'),
    })),
  ]
  const wrong = lines.flatMap(({ at, text }) => {
    const scripts = [
      ...[...text.matchAll(/\bnpm run ([\w:-]+)/g)].map(([, name]) => name!),
      ...[...text.matchAll(/\bnpm (start|test)\b/g)].map(([, name]) => name!),
    ].filter((name) => !(name in manifest.scripts))
    const files = [...text.matchAll(/\b(?:node|tsx|bash) ((?:[\w.-]+\/)+[\w.-]+)/g)]
      .map(([, path]) => path!)
      .filter((path) => !existsSync(join(root, path)))
    return [...scripts, ...files].map((name) => `${at}: ${name}`)
  })
  expect(wrong).toEqual([])
})

test('links inside the repo lead somewhere', () => {
  const broken = docs.flatMap((file) =>
    [
      ...proseOf(file)
        .join('\n')
        .matchAll(/\]\(([^)\s]+)\)/g),
    ]
      .map(([, target]) => target!)
      .filter((target) => !/^[a-z]+:/.test(target))
      .filter((target) => {
        const [path, anchor] = target.split('#')
        const aim = path === '' ? file : join(dirname(file), path!)
        if (!existsSync(aim)) return true
        return anchor !== undefined && (statSync(aim).isDirectory() || !anchors(aim).has(anchor))
      })
      .map((target) => `${relative(root, file)}: ${target}`),
  )
  expect(broken).toEqual([])
})

/** The anchors of a file's headings, as code hosts make them. */
function anchors(file: string): Set<string> {
  const seen = new Map<string, number>()
  const headings = proseOf(file).filter((line) => /^#{1,6} /.test(line))
  return new Set(
    headings.map((heading) => {
      const slug = heading
        .replace(/^#+\s+/, '')
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .trim()
        .replace(/\s/g, '-')
      const count = seen.get(slug) ?? 0
      seen.set(slug, count + 1)
      return count === 0 ? slug : `${slug}-${count}`
    }),
  )
}

test('no file names a package registry or a path of one machine', () => {
  const text = new Set(['.ts', '.mjs', '.js', '.json', '.md', '.yml', '.yaml', '.html', '.css', ''])
  const forbidden = /\bregistry\.[a-z]+|\bnpmjs\.|(?<![\w.~/-])\/(?:work|home|root|Users)\//
  const found = ours
    .filter((path) => text.has(extname(path)) && path !== __filename)
    .flatMap((path) =>
      readFileSync(path, 'utf8')
        .split('\n')
        .flatMap((line, at) =>
          forbidden.test(line) ? [`${relative(root, path)}:${at + 1} ${line.trim()}`] : [],
        ),
    )
  expect(found).toEqual([])
})

describe('the lock file', () => {
  const text = readFileSync(join(root, 'package-lock.json'), 'utf8')

  test('names no place to download from', () => {
    expect(text.split('\n').filter((line) => line.includes('"resolved"'))).toEqual([])
  })

  // npm leaves out, without a word, what it can't find at the time, and `npm ci` refuses the rest.
  test('has the binaries for every platform', () => {
    const { packages } = JSON.parse(text) as {
      packages: Record<string, { optionalDependencies?: Record<string, string> }>
    }
    const locked = new Set(Object.keys(packages).map((path) => path.split('node_modules/').at(-1)))
    const missing = Object.values(packages)
      .flatMap(({ optionalDependencies }) => Object.keys(optionalDependencies ?? {}))
      .filter((name) => !locked.has(name))
    expect(missing).toEqual([])
  })
})
