/** Waits for conditions that are tested again whenever `look` is called. */
export class Watchers {
  readonly #looks = new Set<() => void>()

  /** Settles once `test` holds, or after `timeout` milliseconds. */
  async until(test: () => boolean, timeout: number): Promise<void> {
    if (test()) return
    await new Promise<void>((resolve) => {
      const settle = () => {
        clearTimeout(timer)
        this.#looks.delete(look)
        resolve()
      }
      const look = () => {
        if (test()) settle()
      }
      const timer = setTimeout(settle, Math.max(0, timeout))
      this.#looks.add(look)
    })
  }

  /** Something has changed: tests every condition. */
  look(): void {
    for (const look of this.#looks) look()
  }
}
