/** What a process of `startWorkers` is, as its parent tells it by an environment variable. */
export type Role = 'primary' | 'hub' | 'worker'

/** The variable. What is in it is JSON: a {@link Part}. */
export const PART = 'UNIFROST_WORKERS_PART'

/** What a child is started for. */
export interface Part {
  readonly role: 'hub' | 'worker'
  /** Where the hub listens. */
  readonly address: string
  /** The encoding of the hub's driver. A worker is told. */
  readonly encoding?: 'utf8' | 'base64'
}

/** What a child says to its parent. */
export type ChildSays =
  | { unifrost: 'ready'; encoding?: 'utf8' | 'base64'; port?: number }
  | { unifrost: 'failed'; message: string }

/** What a parent says to a child: end, and how long to take for it. */
export interface ParentSays {
  unifrost: 'end'
}

/** What this process was started for, or undefined for the first one. Its own children do not inherit it. */
export function takePart(): Part | undefined {
  const text = process.env[PART]
  delete process.env[PART]
  return text === undefined ? undefined : (JSON.parse(text) as Part)
}

/** Says it to the parent, and settles when it has been handed over. */
export function tellParent(message: ChildSays): Promise<void> {
  return new Promise((resolve) => {
    // Without a parent any more there is nobody to tell.
    if (process.send === undefined || !process.connected) resolve()
    else process.send(message, undefined, undefined, () => resolve())
  })
}

/** Calls `end` once: when the parent says so or is gone, and on SIGTERM where `signals`. */
export function whenToEnd(signals: boolean, end: () => void): void {
  let isEnding = false
  const once = () => {
    if (isEnding) return
    isEnding = true
    end()
  }
  process.on('message', (message: Partial<ParentSays> | undefined) => {
    if (message?.unifrost === 'end') once()
  })
  process.once('disconnect', once)
  // A terminal's Ctrl-C and a service manager's SIGTERM go to all processes: the parent sees to the order.
  process.on('SIGINT', () => undefined)
  process.on('SIGTERM', () => {
    if (signals) once()
  })
}
