import { readlinkSync } from 'node:fs'

/** What tells one process of this machine from another. */
export interface ProcessName {
  readonly pid: number
  /** In which numbering of processes: containers have their own. Undefined where that can't be known. */
  readonly space: string | undefined
}

/** This process. */
export function thisProcess(): ProcessName {
  return { pid: process.pid, space: pidSpace() }
}

/** Whether a process is dead for sure. */
export function isDead({ pid, space }: ProcessName): boolean {
  if (space === undefined || space !== pidSpace()) return false
  try {
    process.kill(pid, 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
}

function pidSpace(): string | undefined {
  if (process.platform !== 'linux') return process.platform
  try {
    return readlinkSync('/proc/self/ns/pid')
  } catch {
    return undefined
  }
}
