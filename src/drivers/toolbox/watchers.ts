/** Those who wait for something to become true, which is looked at when it may have. */
export class Watchers {
  readonly #looks = new Set<() => void>()

  /** Settles once `test` holds, or after so many milliseconds. */
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

  look(): void {
    for (const look of this.#looks) look()
  }
}
