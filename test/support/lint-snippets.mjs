// Lints snippets with the repo's own rules, all in one process: ESLint's configuration is a module,
// which Jest's CommonJS can't load. Takes [{ path, code }] on stdin, gives an array of messages each.
import { ESLint } from 'eslint'
import { text } from 'node:stream/consumers'
import tseslint from 'typescript-eslint'

const eslint = new ESLint({
  // The files do not exist, so there are no types to be had.
  overrideConfig: [{ files: ['**/*.ts'], ...tseslint.configs.disableTypeChecked }],
})
const snippets = JSON.parse(await text(process.stdin))
const found = []
for (const { path, code } of snippets) {
  const [result] = await eslint.lintText(code, { filePath: path })
  found.push(result.messages.map(({ ruleId, message }) => `${ruleId}: ${message}`))
}
process.stdout.write(JSON.stringify(found))
