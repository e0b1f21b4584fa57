import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const docs = join(__dirname, '../docs')

test('every page of docs/ stands in the sidebar of the site', () => {
  const script = `import { sidebar } from ${JSON.stringify(pathToFileURL(join(docs, '.vitepress/pages.mjs')).href)}
    process.stdout.write(JSON.stringify(sidebar.flatMap(({ items }) => items.map(({ path }) => path))))`
  const args = ['--input-type=module', '--eval', script]
  const listed = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })) as string[]
  const pages = readdirSync(docs, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.md') && !path.startsWith('.') && path !== 'index.md')
    .map((path) => path.replace(/\.md$/, ''))
  expect(pages.filter((path) => !listed.includes(path))).toEqual([])
})
