/** What a run was told and its producer has not taken yet, in order. */
export class Inbox implements AsyncIterable<unknown> {
  private readonly waiting: unknown[] = []
  private takers: ((taken: IteratorResult<unknown, undefined>) => void)[] = []
  private isOver = false

  /** How many messages nobody has taken. */
  get unread(): number {
    return this.waiting.length
  }

  add(message: unknown): void {
    if (this.isOver) return
    const taker = this.takers.shift()
    if (taker === undefined) this.waiting.push(message)
    else taker({ value: message, done: false })
  }

  /** Nothing more is taken. Whoever waits gets the end. */
  end(): void {
    this.isOver = true
    for (const taker of this.takers.splice(0)) taker({ value: undefined, done: true })
  }

  next(): Promise<IteratorResult<unknown, undefined>> {
    if (this.isOver) return Promise.resolve({ value: undefined, done: true })
    if (this.waiting.length > 0) {
      return Promise.resolve({ value: this.waiting.shift(), done: false })
    }
    return new Promise((resolve) => this.takers.push(resolve))
  }

  /** Takes one message, unless `cancel` is called before. */
  take(): { message: Promise<unknown>; cancel: () => void } {
    if (this.isOver || this.waiting.length > 0) {
      return { message: this.next().then(({ value }) => value), cancel: () => undefined }
    }
    let settle: (value: unknown) => void
    const message = new Promise<unknown>((resolve) => (settle = resolve))
    const taker = ({ value }: IteratorResult<unknown, undefined>) => settle(value)
    this.takers.push(taker)
    const cancel = () => {
      this.takers = this.takers.filter((one) => one !== taker)
      settle(undefined)
    }
    return { message, cancel }
  }

  [Symbol.asyncIterator](): AsyncIterator<unknown, undefined> {
    return {
      next: () => this.next(),
      return: () => Promise.resolve({ value: undefined, done: true }),
    }
  }
}
