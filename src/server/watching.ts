import { watch } from 'node:fs'
import type { FSWatcher } from 'node:fs'
import { dirname } from 'node:path'

/** How long files have to be quiet before they are read: an editor writes in several steps. Milliseconds. */
const QUIET = 200

/** Tells when something changes in the folders of files, and what is watched. */
export class Watching {
  private readonly watchers = new Map<string, FSWatcher>()
  private timer: NodeJS.Timeout | undefined

  /**
   * @param changed It may have changed nothing that matters: look.
   * @param failed A folder can't be watched.
   */
  constructor(
    private readonly changed: () => void,
    private readonly failed: (error: Error) => void,
  ) {}

  /** Watches the folders of these files, and no others: a ConfigMap swaps a link beside its files. */
  see(files: readonly string[]): void {
    const folders = new Set(files.map((file) => dirname(file)))
    for (const [folder, watcher] of this.watchers) {
      if (folders.has(folder)) continue
      watcher.close()
      this.watchers.delete(folder)
    }
    for (const folder of folders) if (!this.watchers.has(folder)) this.begin(folder)
  }

  close(): void {
    clearTimeout(this.timer)
    this.see([])
  }

  private begin(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, () => {
        clearTimeout(this.timer)
        this.timer = setTimeout(this.changed, QUIET)
      })
      watcher.on('error', this.failed)
      this.watchers.set(folder, watcher)
    } catch (error) {
      this.failed(error as Error)
    }
  }
}
