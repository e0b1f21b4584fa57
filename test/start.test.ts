import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createContext, runInContext } from 'node:vm'
import { EventSource } from 'eventsource'
import { openEvents } from './support/event-stream.js'
import { blocksOf } from './support/markdown.js'
import { until } from './support/until.js'

// A reader follows these pages to the letter in an empty folder. `unifrost` is what `npm install` would
// put there; here it is the sources. test/package.real.test.ts runs the packed package.

jest.setTimeout(60_000)

const root = join(__dirname, '..')
let folder: string
const running: { child: ChildProcess; ended: Promise<unknown> }[] = []
const sources: EventSource[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unifrost-start-'))
})

afterEach(async () => {
  for (const source of sources.splice(0)) source.close()
  for (const { child, ended } of running.splice(0)) {
    child.kill('SIGKILL')
    await ended
  }
  await rm(folder, { recursive: true, force: true })
})

/** What the page shows in the block with this mark. */
function shown(page: string, mark: 'run' | 'as', name: string): string {
  const block = blocksOf(join(root, page)).find(({ marks }) => marks[mark] === name)
  if (block === undefined) throw new Error(`${page} has no <!-- ${mark}: ${name} -->.`)
  return block.code
}

/** Puts the packages of an `npm install` of the page into the folder, and `type` where the page sets it. */
async function install(page: string, wanted: string): Promise<void> {
  const lines = blocksOf(join(root, page))
    .map(({ code }) => code.trimEnd().split('\n'))
    .find((all) => all.some((one) => /^npm install /.test(one) && one.split(' ').includes(wanted)))
  if (lines === undefined) throw new Error(`${page} does not install ${wanted}.`)
  if (lines.some((one) => one.endsWith('npm init -y && npm pkg set type=module'))) {
    await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
  }
  const [, , ...names] = lines.at(-1)!.split(' ')
  expect(names).toContain('unifrost')
  for (const name of names.filter((one) => one !== 'unifrost')) {
    const link = join(folder, 'node_modules', name)
    await mkdir(dirname(link), { recursive: true })
    await symlink(join(root, 'node_modules', name), link)
  }
}

/** Runs a file of the folder, and gives its address once it listens. */
async function start(file: string): Promise<string> {
  const spy = `import { Server } from 'node:net'
const { listen } = Server.prototype
Server.prototype.listen = function (...args) {
  this.once('listening', () => console.log('port=' + this.address().port))
  return listen.apply(this, args)
}`
  await writeFile(join(folder, 'spy.mjs'), spy)
  const imports = ['--import', join(root, 'node_modules/tsx/dist/loader.mjs')]
  const child = spawn(process.execPath, [...imports, '--import', './spy.mjs', file], {
    cwd: folder,
    env: { ...process.env, PORT: '0', TSX_TSCONFIG_PATH: join(root, 'tsconfig.json') },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.push({ child, ended: once(child, 'close') })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  }
  const port = () => /^port=(\d+)$/m.exec(output)?.[1]
  await until(
    `${file} to listen`,
    () => {
      if (child.exitCode !== null) throw new Error(`${file} ended:\n${output}`)
      return port() !== undefined
    },
    30_000,
  )
  return `http://127.0.0.1:${port()}`
}

/** An element as far as the pages use one. */
interface Element {
  textContent?: string
  value?: string
  append?(line: Element): void
  onsubmit?(event: { preventDefault(): void }): void
}

/** Runs the scripts of a page that is served there, with these elements. */
async function open(url: string, elements: Record<string, Element>) {
  const html = await (await fetch(url)).text()
  const scripts = [...html.matchAll(/<script>([\s\S]*?)<\/script>/g)].map(([, code]) => code!)
  expect(scripts).toHaveLength(1)
  for (const selector of Object.keys(elements)) expect(html).toContain(`<${selector}`)
  const context = createContext({
    EventSource: class extends EventSource {
      constructor(path: string) {
        super(new URL(path, url))
        sources.push(this)
      }
    },
    fetch: (path: string, init: RequestInit) => fetch(new URL(path, url), init),
    document: {
      createElement: (): Element => ({}),
      querySelector: (selector: string) => elements[selector] ?? null,
    },
  })
  for (const script of scripts) runInContext(script, context)
  await until(
    'the stream of the page',
    () => sources.at(-1)?.readyState === EventSource.OPEN,
    20_000,
  )
}

test('the README: its page shows what its server sends', async () => {
  await install('README.md', 'express')
  await mkdir(join(folder, 'public'))
  await writeFile(join(folder, 'server.mjs'), shown('README.md', 'run', 'express'))
  await writeFile(join(folder, 'public/index.html'), shown('README.md', 'as', 'page'))
  const output: Element = {}
  await open(await start('server.mjs'), { output })
  await until('the first event', () => output.textContent !== undefined, 20_000)
  expect(new Date(output.textContent!).getFullYear()).toBeGreaterThan(2000)
})

test('Start, Express: what one window says appears in both', async () => {
  await install('docs/start.md', 'express')
  await mkdir(join(folder, 'public'))
  await writeFile(join(folder, 'server.js'), shown('docs/start.md', 'run', 'start-express'))
  await writeFile(join(folder, 'public/index.html'), shown('docs/start.md', 'as', 'start-page'))
  const url = await start('server.js')
  const said: unknown[][] = [[], []]
  const form: Element = {}
  for (const lines of said) {
    const ul = { append: ({ textContent }: Element) => lines.push(textContent) } as Element
    await open(url, { ul, form, input: { value: 'hello' } })
  }
  form.onsubmit!({ preventDefault: () => undefined })
  await until('both windows', () => said.every(({ length }) => length > 0), 20_000)
  expect(said).toEqual([['hello'], ['hello']])
})

test('Start, Koa: what curl says appears in the stream', async () => {
  await install('docs/start.md', 'koa')
  await writeFile(join(folder, 'server.js'), shown('docs/start.md', 'run', 'start-koa'))
  const page = await readFile(join(root, 'docs/start.md'), 'utf8')
  const [, watched] = /`curl -N localhost:3000(\S+)`/.exec(page)!
  const [, said] = /`curl -X POST 'localhost:3000(\S+)'`/.exec(page)!
  const url = await start('server.js')
  const stream = await openEvents(url + watched!)
  expect((await fetch(url + said!, { method: 'POST' })).status).toBe(204)
  const event = await stream.next('what was said', ({ event }) => event === 'news')
  expect(event.data).toBe('hello')
  stream.drop()
})
