import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(__dirname, '..')
const text = (path: string) => readFileSync(join(root, path), 'utf8')

/** The commands in a column of the table of docs/scaling.md. */
function quoted(column: number): string[] {
  const section = text('docs/scaling.md').split('## The load balancer')[1]!.split('### ')[0]!
  const cells = section
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) => line.split(' | ')[column] ?? '')
    // What is only mentioned, and not set, says so in words around it.
    .filter((cell) => !/default|^no /.test(cell.trim()))
  return cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, line]) => line!))
}

/** Spaces are set as one likes in both configurations. */
const plain = (lines: string) => lines.replaceAll(/[ #]+/g, ' ')

test.each([
  ['HAProxy', 2, 'examples/scale/haproxy.cfg'],
  ['nginx', 3, 'examples/scale/nginx.conf.template'],
])(
  'each line that the docs quote for %s is in the configuration that is tested',
  (_, column, path) => {
    const lines = quoted(column)
    expect(lines.length).toBeGreaterThan(7)
    expect(lines.filter((line) => !plain(text(path)).includes(plain(line)))).toEqual([])
  },
)
