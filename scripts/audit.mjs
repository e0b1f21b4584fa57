// Asks the registry whether an advisory stands against what users of the package get with it, the
// packages that it depends on and theirs. A registry that keeps no advisories is no failure, and is
// said; neither is one that is out of reach.
import { spawnSync } from 'node:child_process'

const { stdout, error } = spawnSync('npm', ['audit', '--omit=dev', '--json'], {
  encoding: 'utf8',
  timeout: 120_000,
})
if (error !== undefined) throw error
const answer = JSON.parse(stdout || '{}')
if (answer.metadata === undefined) {
  const why = answer.message ?? answer.error?.summary ?? 'no answer'
  process.stdout.write(`audit: LEFT OUT, the registry answers no audits (${why})\n`)
} else {
  const { vulnerabilities: counts, dependencies } = answer.metadata
  for (const { name, severity, range } of Object.values(answer.vulnerabilities)) {
    process.stdout.write(`${severity}: ${name} ${range}\n`)
  }
  process.stdout.write(`audit: ${counts.total} advisories against ${dependencies.prod} packages\n`)
  process.exitCode = counts.total === 0 ? 0 : 1
}
