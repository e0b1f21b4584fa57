// Writes the table of keys into docs/server.md: npx tsx scripts/server-keys.mts
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { keysTable } from '../src/server/config/docs.js'

const file = fileURLToPath(new URL('../docs/server.md', import.meta.url))
const text = readFileSync(file, 'utf8')
const head = text.slice(0, text.indexOf('The table is made from the schema'))
writeFileSync(
  file,
  `${head}The table is made from the schema that checks the file.\n\n${keysTable()}\n`,
)
