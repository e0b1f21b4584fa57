/** Where time comes from. Tests bring one of their own; a Streamer takes it as an option. */
export interface Clock {
  /** Milliseconds that only ever rise, whatever happens to the system's time. */
  now(): number
  /** As the global one; the timer must not keep the process alive. */
  setTimeout(callback: () => void, milliseconds: number): unknown
  clearTimeout(timer: unknown): void
}

/** The process's monotonic clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  setTimeout: (callback, milliseconds) => setTimeout(callback, milliseconds).unref(),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
}

/** One appointment. Passed to {@link Timers.cancel}. */
export interface Timer {
  /** When it is due, by the clock. */
  readonly due: number
}

class Appointment<T = unknown> implements Timer {
  /** Its place in the heap, or -1 when it is no longer in it. */
  index = -1
  constructor(
    readonly due: number,
    readonly run: (subject: T) => void,
    readonly subject: T,
  ) {}
}

/** The longest time that Node's own timers take. */
const LONGEST_SLEEP = 2 ** 31 - 1

/**
 * All waiting of a Streamer on one timer of Node's: a heap ordered by time. With 10,000
 * clients there are some 20,000 appointments and still one timer.
 */
export class Timers {
  private readonly heap: Appointment[] = []
  private timer: unknown = undefined
  private timerDue = Infinity

  constructor(readonly clock: Clock) {}

  /** How many appointments there are. */
  get size(): number {
    return this.heap.length
  }

  /**
   * Calls `run` once, `milliseconds` from now. `run` must not throw.
   *
   * @param subject What `run` is called with: thousands of appointments then share one function.
   */
  after(milliseconds: number, run: () => void): Timer
  after<T>(milliseconds: number, run: (subject: T) => void, subject: T): Timer
  after(milliseconds: number, run: (subject: unknown) => void, subject?: unknown): Timer {
    const appointment = new Appointment(this.clock.now() + milliseconds, run, subject)
    appointment.index = this.heap.push(appointment) - 1
    this.rise(appointment)
    this.arm()
    return appointment
  }

  /** A timer that has run or was cancelled may be cancelled again. */
  cancel(timer: Timer | undefined): void {
    if (!(timer instanceof Appointment) || timer.index < 0) return
    this.remove(timer)
  }

  /** Cancels everything. */
  stop(): void {
    for (const appointment of this.heap) appointment.index = -1
    this.heap.length = 0
    this.disarm()
  }

  private arm(): void {
    const first = this.heap[0]
    // A timer that is due too early only looks and arms anew: cheaper than moving it each time.
    if (first === undefined || this.timerDue <= first.due) return
    this.disarm()
    this.timerDue = first.due
    const wait = Math.min(Math.max(first.due - this.clock.now(), 0), LONGEST_SLEEP)
    this.timer = this.clock.setTimeout(() => this.wake(), Math.ceil(wait))
  }

  private disarm(): void {
    if (this.timer !== undefined) this.clock.clearTimeout(this.timer)
    this.timer = undefined
    this.timerDue = Infinity
  }

  private wake(): void {
    this.timer = undefined
    this.timerDue = Infinity
    const now = this.clock.now()
    for (let first = this.heap[0]; first !== undefined && first.due <= now; first = this.heap[0]) {
      this.remove(first)
      first.run(first.subject)
    }
    this.arm()
  }

  private remove(appointment: Appointment): void {
    const hole = appointment.index
    appointment.index = -1
    const last = this.heap.pop()!
    if (last === appointment) return
    this.heap[hole] = last
    last.index = hole
    this.rise(last)
    this.sink(last)
  }

  private rise(appointment: Appointment): void {
    for (;;) {
      const above = this.heap[(appointment.index - 1) >> 1]
      if (appointment.index === 0 || above === undefined || above.due <= appointment.due) return
      this.swap(appointment, above)
    }
  }

  private sink(appointment: Appointment): void {
    for (;;) {
      const left = this.heap[2 * appointment.index + 1]
      const right = this.heap[2 * appointment.index + 2]
      const earlier = right !== undefined && right.due < left!.due ? right : left
      if (earlier === undefined || earlier.due >= appointment.due) return
      this.swap(appointment, earlier)
    }
  }

  private swap(a: Appointment, b: Appointment): void {
    const index = a.index
    a.index = b.index
    b.index = index
    this.heap[a.index] = a
    this.heap[b.index] = b
  }
}
