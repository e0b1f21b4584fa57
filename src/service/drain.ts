import type { Timers } from '../clock.js'
import type { Client } from '../delivery/client.js'
import type { Settings } from '../options.js'
import type { ClientIndex } from './client-index.js'
import type { Connections } from './connections.js'

/** How long pages wait that are sent away in the course of a drain, in milliseconds. */
const SENT_AWAY = { min: 100, max: 500 }

/** What a drain works on. */
export interface Draining {
  readonly settings: Pick<Settings, 'random' | 'retry'>
  readonly timers: Timers
  readonly index: ClientIndex
  readonly connections: Connections
  /** Ends a client's stream; its page comes back after `retry` milliseconds. */
  sendAway(client: Client, retry: number): void
}

/**
 * Ends the streams one by one over a period, in a random order. Settles when all have gone, or when
 * the period is over.
 *
 * @param over The period, in milliseconds. It spreads the pages over the other servers, so each may
 *   come back at once.
 */
export async function drain(over: number, draining: Draining): Promise<void> {
  const { settings, timers, index, connections, sendAway } = draining
  const withStreams = () => index.all().filter((client) => client.connected)
  const longest = Math.min(SENT_AWAY.max, settings.retry.max)
  const shortest = Math.min(SENT_AWAY.min, longest)
  const wait = (spread: number) => Math.round(shortest + settings.random() * spread)
  const clients = withStreams()
  shuffle(clients, settings.random)
  for (const [place, client] of clients.entries()) {
    timers.after((over * place) / clients.length, () => {
      if (client.connected) sendAway(client, wait(longest - shortest))
    })
  }
  await allGone(over, longest, { timers, connections })
  // Those that have come here once more leave together, so their pages come back no faster than the
  // others did. An example: 50 of 1,000, with `over` 5,000, are spread over 250 milliseconds.
  const again = withStreams()
  const share = again.length / Math.max(clients.length, again.length)
  for (const client of again) sendAway(client, wait(Math.max(longest - shortest, over * share)))
}

/**
 * Settles when no connection is left and none has come back in the time that pages wait, or when
 * the period is over.
 */
async function allGone(
  over: number,
  longestWait: number,
  { timers, connections }: Pick<Draining, 'timers' | 'connections'>,
): Promise<void> {
  if (connections.open.size === 0) return
  let isOver = false
  const timeIsUp = new Promise<void>((resolve) => {
    timers.after(over, () => {
      isOver = true
      resolve()
    })
  })
  while (!isOver && connections.open.size > 0) {
    await Promise.race([connections.none(), timeIsUp])
    const pagesWait = new Promise<void>((resolve) => timers.after(longestWait, resolve))
    await Promise.race([pagesWait, timeIsUp])
  }
}

function shuffle<T>(items: T[], random: () => number): void {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    ;[items[i], items[j]] = [items[j]!, items[i]!]
  }
}
