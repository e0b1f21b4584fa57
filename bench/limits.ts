import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/** How many files a process may have open at most. Node and the load client ask for all of it. */
export async function fileLimit(): Promise<number> {
  const { stdout } = await promisify(execFile)('sh', ['-c', 'ulimit -Hn'])
  return stdout.trim() === 'unlimited' ? Infinity : Number(stdout)
}
