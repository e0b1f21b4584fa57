// No file imports itself by way of others. The graph of all imports is read once for a whole run.
import { readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const root = fileURLToPath(new URL('../..', import.meta.url))
/** For how long a file that was read is taken to be as it was, in milliseconds: editors lint on. */
const LIFETIME = 30_000

/** The imports of a file: which file each leads to, and whether it is for types only. */
const graph = new Map()
let readAt = -Infinity

function importsOf(path) {
  if (performance.now() > readAt + LIFETIME) {
    graph.clear()
    readAt = performance.now()
  }
  let imports = graph.get(path)
  if (imports === undefined) graph.set(path, (imports = readImports(path)))
  return imports
}

function readImports(path) {
  let text
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    // What is not there imports nothing; that it is missing is said by the compiler.
    return []
  }
  const imports = []
  const add = (specifier, types) => {
    if (specifier === undefined || !ts.isStringLiteral(specifier)) return
    const to = resolve(path, specifier.text)
    if (to !== undefined) imports.push({ to, types })
  }
  const visit = (node) => {
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, isTypeImport(node.importClause))
    else if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, isTypeExport(node))
    else if (ts.isImportTypeNode(node)) add(node.argument.literal, true)
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0], false)
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest))
  return imports
}

const all = (specifiers, isType) => specifiers.length > 0 && specifiers.every(isType)

/** Whether nothing is left of it in the JavaScript. */
function isTypeImport(clause) {
  if (clause === undefined) return false
  if (clause.isTypeOnly) return true
  const { name, namedBindings } = clause
  if (name !== undefined || namedBindings === undefined) return false
  return ts.isNamedImports(namedBindings) && all(namedBindings.elements, (it) => it.isTypeOnly)
}

function isTypeExport({ isTypeOnly, exportClause }) {
  if (isTypeOnly) return true
  if (exportClause === undefined || !ts.isNamedExports(exportClause)) return false
  return all(exportClause.elements, (it) => it.isTypeOnly)
}

/** The file of ours that a specifier means, where it is a relative one. */
function resolve(from, specifier) {
  if (!specifier.startsWith('.')) return undefined
  return join(dirname(from), specifier).replace(/\.js$/, '.ts')
}

/** The shortest way from a file to another one, both included, or undefined. */
function wayBetween(from, to, types) {
  const ways = new Map([[from, undefined]])
  for (const path of ways.keys()) {
    if (path === to) {
      const way = []
      for (let at = path; at !== undefined; at = ways.get(at)) way.unshift(at)
      return way
    }
    for (const edge of importsOf(path)) {
      if ((types || !edge.types) && !ways.has(edge.to)) ways.set(edge.to, path)
    }
  }
  return undefined
}

/** ESLint's rule. With `types`, imports of types make a circle as well. */
export const cyclesRule = {
  meta: {
    type: 'problem',
    schema: [{ type: 'object', properties: { types: { type: 'boolean' } } }],
    docs: { description: 'no file imports itself by way of others' },
  },
  create(context) {
    const { types = false } = context.options[0] ?? {}
    const file = context.filename
    const check = (node, source, isType) => {
      if (typeof source?.value !== 'string' || (isType && !types)) return
      const target = resolve(file, source.value)
      const way = target === undefined ? undefined : wayBetween(target, file, types)
      if (way === undefined) return
      const circle = [file, ...way].map((path) => relative(root, path)).join(' → ')
      context.report({ node, message: `This import closes a circle: ${circle}.` })
    }
    const isType = (kind, specifiers) =>
      kind === 'type' || all(specifiers, (it) => (it.importKind ?? it.exportKind) === 'type')
    return {
      ImportDeclaration: (node) =>
        check(node, node.source, isType(node.importKind, node.specifiers)),
      ExportNamedDeclaration: (node) =>
        check(node, node.source, isType(node.exportKind, node.specifiers)),
      ExportAllDeclaration: (node) => check(node, node.source, node.exportKind === 'type'),
      ImportExpression: (node) => check(node, node.source, false),
      TSImportType: (node) => check(node, node.source, true),
    }
  },
}
