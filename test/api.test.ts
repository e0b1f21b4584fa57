import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'

const root = join(__dirname, '..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const script = (name: string, ...args: string[]) =>
  spawnSync(process.execPath, [join(root, 'scripts', name), ...args], { encoding: 'utf8' })

test('nothing that docs/api.txt has is gone from the entry points', () => {
  const { stdout, stderr } = script('api.mjs')
  expect(stderr).toBe('')
  const exported = new Set(stdout.split('\n'))
  const recorded = read('docs/api.txt').split('\n')
  expect(recorded.length).toBeGreaterThan(100)
  // What is gone would break an application: that is a major release, and npm run api -- --write.
  expect(recorded.filter((line) => !exported.has(line))).toEqual([])
})

test("the script finds each kind of an entry's exports", () => {
  const { stdout } = script('api.mjs')
  for (const line of [
    'unifrost value Streamer',
    'unifrost type StreamerOptions',
    'unifrost/express value unifrostExpress',
    'unifrost/fastify value default',
    'unifrost/testing/app value openStream',
  ]) {
    expect(stdout.split('\n')).toContain(line)
  }
})

test('the notes of a release are what the changelog says of it', () => {
  const { stdout, status } = script('release-notes.mjs', 'Unreleased')
  expect([status, stdout.startsWith('### Added')]).toEqual([0, true])
  const missing = script('release-notes.mjs', 'v99.0.0')
  expect(missing.status).toBe(1)
  expect(missing.stderr).toContain('nothing under ## [99.0.0]')
})

describe('the workflows', () => {
  interface Step {
    uses?: string
    run?: string
  }
  interface Job {
    steps: Step[]
    permissions?: Record<string, string>
    strategy?: { matrix: { node: number[] } }
  }
  const folder = '.github/workflows'
  const files = readdirSync(join(root, folder))
  const workflows = files.map((file) => {
    const text = read(`${folder}/${file}`)
    return { file, text, jobs: (parse(text) as { jobs: Record<string, Job> }).jobs }
  })

  test('name each action by its commit, which nobody can move', () => {
    const used = workflows.flatMap(({ jobs }) =>
      Object.values(jobs).flatMap(({ steps }) => steps.flatMap(({ uses }) => uses ?? [])),
    )
    expect(used.length).toBeGreaterThan(2)
    expect(used.filter((it) => !/^[\w-]+\/[\w-]+@[0-9a-f]{40}$/.test(it))).toEqual([])
  })

  test('run scripts and files that there are', () => {
    for (const { text } of workflows) {
      for (const [path] of text.matchAll(/\bscripts\/[\w-]+\.mjs|\.ci\/\w+/g)) {
        expect(() => read(path)).not.toThrow()
      }
    }
  })

  test('test on every release of Node that the package takes', () => {
    const { test: tests, publish } = workflows.find(({ file }) => file === 'ci.yml')!.jobs
    expect(tests!.strategy!.matrix.node).toEqual([20, 22, 24, 26])
    // Provenance needs the one, the release the other.
    expect(publish!.permissions).toEqual({ contents: 'write', 'id-token': 'write' })
  })
})
