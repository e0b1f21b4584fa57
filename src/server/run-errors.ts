import { UnifrostError } from '../index.js'

/** A producer's request broke off, so its run can't be whole. */
export class ProducerGoneError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_PRODUCER_GONE'
  readonly status = 400
  constructor() {
    super("The producer's request broke off before its end.")
  }
}

/** A producer's term is over, or was never that of this run. */
export class RunTermError extends UnifrostError {
  readonly code = 'ERR_UNIFROST_RUN_TERM'
  readonly status = 409
  constructor() {
    super(
      'This term has no run that goes on here. Start one by POST /runs/NAME, and send its term.',
    )
  }
}

/** What a producer itself said of its failure. */
export class ProducerError extends UnifrostError {
  readonly status = 500
  override readonly expose = true
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message)
  }
}
