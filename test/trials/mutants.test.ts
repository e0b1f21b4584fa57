import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'

const root = join(__dirname, '../..')
const folder = join(root, 'trials/mutants')
const patches = readdirSync(folder).filter((name) => name.endsWith('.patch'))

// They are run by `npm run test:mutants`, which takes minutes.
test.each(patches)('%s still breaks the code as it is', (name) => {
  const patch = join(folder, name)
  const check = () =>
    // Git says on its standard error where a patch has moved to; that is no failure.
    execFileSync('git', ['apply', '-C1', '--check', patch], { cwd: root, stdio: 'pipe' })
  expect(check).not.toThrow()
})
