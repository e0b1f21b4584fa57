/** A clock and its timers. A Streamer takes one as an option, so that tests can move time. */
export interface Clock {
  /** Milliseconds that never fall, also when the system's time is changed. */
  now(): number
  /** Like the global `setTimeout`, but the timer must not keep the process alive. */
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

/** The longest time that a timer of Node's takes, in milliseconds. */
const LONGEST_SLEEP = 2 ** 31 - 1

/**
 * All timers of a Streamer, in a heap ordered by time, on one timer of Node's. 10,000 clients have
 * some 20,000 appointments here.
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
    // If Node's timer is due before the first appointment, `wake` finds nothing due and arms it
    // again. That is cheaper than moving it with each cancelled appointment.
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
