import { readdir, readFile } from 'node:fs/promises'

/** The CPU that all threads of a process have used, in µs. */
export async function cpuOf(pid: number): Promise<number> {
  const folder = `/proc/${pid}/task`
  const threads = await Promise.all(
    (await readdir(folder)).map((thread) => readFile(`${folder}/${thread}/schedstat`, 'utf8')),
  )
  return threads.reduce((sum, text) => sum + Number(text.split(' ')[0]) / 1_000, 0)
}

/** Its resident memory, in bytes. */
export async function memoryOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1_024
}
