import { AsyncLocalStorage } from 'node:async_hooks'
import type { Client } from '../delivery/client.js'

/** A client's stream that has just opened. */
export interface Opening {
  readonly client: Client
  /** The position that its request names. */
  readonly position: string | undefined
}

/**
 * One for the process, not one for each Streamer: Node copies every store that was ever used into each
 * promise and timer that is made from then on.
 */
const openings = new AsyncLocalStorage<Opening>()

/** Calls the listeners of `connect`. {@link openingOf} tells their calls apart, also after an `await`. */
export function duringOpening<T>(opening: Opening, listeners: () => T): T {
  return openings.run(opening, listeners)
}

/** The opening whose listener makes this call, or undefined if none of this client's does. */
export function openingOf(client: Client | undefined): Opening | undefined {
  const opening = openings.getStore()
  return client !== undefined && opening?.client === client ? opening : undefined
}
