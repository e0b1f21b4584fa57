/** Collects keys that are wanted one by one, and asks for all of them at once when the answer to the
 * keys before them is there. */
export class Batch<Key, Value> {
  #waiting = new Map<Key, PromiseWithSettle<Value>>()
  #running = false

  /** @param ask Asks for several keys. A key that its answer lacks is rejected. */
  constructor(private readonly ask: (keys: Key[]) => Promise<Map<Key, Value>>) {}

  get(key: Key): Promise<Value> {
    let found = this.#waiting.get(key)
    if (found === undefined) {
      found = withSettle()
      this.#waiting.set(key, found)
    }
    if (!this.#running) {
      this.#running = true
      setImmediate(() => void this.#run())
    }
    return found.promise
  }

  async #run(): Promise<void> {
    while (this.#waiting.size > 0) {
      const asked = this.#waiting
      this.#waiting = new Map()
      try {
        const answers = await this.ask([...asked.keys()])
        for (const [key, { resolve, reject }] of asked) {
          const answer = answers.get(key)
          if (answer === undefined) reject(new Error('Kafka left something out of its answer.'))
          else resolve(answer)
        }
      } catch (error) {
        for (const { reject } of asked.values()) reject(error as Error)
      }
    }
    this.#running = false
  }
}

interface PromiseWithSettle<T> {
  promise: Promise<T>
  resolve: (value: T) => void
  reject: (error: Error) => void
}

function withSettle<T>(): PromiseWithSettle<T> {
  let resolve: (value: T) => void = () => undefined
  let reject: (error: Error) => void = () => undefined
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}
