// What CHANGELOG.md says of one version, for the notes of its release:
//
//   node scripts/release-notes.mjs 1.2.0
import { readFileSync } from 'node:fs'

const version = process.argv[2]?.replace(/^v/, '')
const changelog = readFileSync(new URL('../CHANGELOG.md', import.meta.url), 'utf8')
const [, notes] = new RegExp(
  `^## \\[${version?.replaceAll('.', '\\.')}\\][^\\n]*\\n([^]*?)(?=^## \\[|(?![^]))`,
  'm',
).exec(changelog) ?? [undefined, '']
if (notes.trim() === '') {
  console.error(`CHANGELOG.md has nothing under ## [${version}]. Name a version that it has.`)
  process.exit(1)
}
process.stdout.write(`${notes.trim()}\n`)
