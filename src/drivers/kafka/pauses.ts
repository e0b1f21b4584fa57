/** Waits between two attempts, all of which end when it is closed. */
export class Pauses {
  readonly #waiting = new Map<() => void, NodeJS.Timeout>()
  #closed = false

  /** Resolves after `milliseconds`, or as soon as it is closed. */
  wait(milliseconds: number): Promise<void> {
    if (this.#closed) return Promise.resolve()
    return new Promise((resolve) => {
      const end = () => {
        this.#waiting.delete(end)
        resolve()
      }
      this.#waiting.set(end, setTimeout(end, milliseconds))
    })
  }

  close(): void {
    this.#closed = true
    for (const [end, timer] of [...this.#waiting]) {
      clearTimeout(timer)
      end()
    }
  }
}
