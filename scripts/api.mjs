// What the package exports, by entry point, as docs/api.txt has it: what was released there stays.
//
//   node scripts/api.mjs            prints it
//   node scripts/api.mjs --write    writes docs/api.txt, as a release does
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const root = fileURLToPath(new URL('..', import.meta.url))
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/** One line for each export: the entry, `type` or `value`, its name. In order. */
export function exportsOf() {
  const lines = []
  for (const [entry, conditions] of Object.entries(manifest.exports)) {
    const types = conditions.import?.types
    if (types === undefined) continue
    const source = join(root, types.replace('./dist/esm/', '').replace(/\.d\.ts$/, '.ts'))
    const name = `unifrost${entry.slice(1)}`
    for (const one of namesIn(source)) lines.push(`${name} ${one}`)
  }
  return [...new Set(lines)].sort()
}

function namesIn(path) {
  const file = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest)
  return file.statements.flatMap((statement) => {
    if (ts.isExportDeclaration(statement)) return namesOfDeclaration(statement, path)
    if (ts.isExportAssignment(statement)) return ['value default']
    const { modifiers = [] } = statement
    if (!modifiers.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)) return []
    const isDefault = modifiers.some(({ kind }) => kind === ts.SyntaxKind.DefaultKeyword)
    const isType = ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement)
    const names = ts.isVariableStatement(statement)
      ? statement.declarationList.declarations.map(({ name }) => name.text)
      : [isDefault ? 'default' : statement.name.text]
    return names.map((name) => `${isType ? 'type' : 'value'} ${name}`)
  })
}

function namesOfDeclaration({ exportClause, isTypeOnly, moduleSpecifier }, path) {
  if (exportClause === undefined) {
    return namesIn(join(dirname(path), moduleSpecifier.text.replace(/\.js$/, '.ts')))
  }
  return exportClause.elements.map(({ name, isTypeOnly: isType }) => {
    return `${isTypeOnly || isType ? 'type' : 'value'} ${name.text}`
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = `${exportsOf().join('\n')}\n`
  if (process.argv.includes('--write')) writeFileSync(join(root, 'docs/api.txt'), text)
  else process.stdout.write(text)
}
