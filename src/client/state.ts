import type { LiveState, Loss, StateOptions, StateView, Watcher } from './types.js'

/** The first reload after a loss waits for up to this long, so that a storm does not reload all pages at once. */
const firstSpread = 500
const longestSpread = 30_000
/** A load that has held for this long ends the row of losses before it. */
const calm = 60_000

/**
 * Subscribes, waits until the topic stands, keeps the events that come while `load` runs, and applies them
 * to what it answers. So no event is in neither, and some are in both.
 */
export function liveState<State, Event>(
  watch: (watcher: Watcher) => () => void,
  { load, apply, initial }: StateOptions<State, Event>,
  linger: number,
): LiveState<State> {
  const listeners = new Set<(state: State | undefined) => void>()
  const losses = new Set<(loss: Loss) => void>()
  let view: StateView<State> = { data: initial, stale: load !== undefined, error: undefined }
  let unwatch: (() => void) | undefined
  let loading: AbortController | undefined
  let buffer: Event[] | undefined
  let due = load !== undefined
  let failures = 0
  let loadedAt = 0
  let retry: ReturnType<typeof setTimeout> | undefined
  let leaving: ReturnType<typeof setTimeout> | undefined

  const show = (change: Partial<StateView<State>>) => {
    view = { ...view, ...change }
    for (const listener of [...listeners]) listener(view.data)
  }

  const halt = () => {
    clearTimeout(retry)
    retry = undefined
    loading?.abort()
    loading = buffer = undefined
  }

  const run = async () => {
    halt()
    due = false
    const mine = (loading = new AbortController())
    const events: Event[] = (buffer = [])
    try {
      const loaded: State | Promise<State> = load!({ signal: mine.signal })
      let data = (await loaded) as State
      if (mine !== loading) return
      for (const event of events) data = apply(data, event)
      loading = buffer = undefined
      loadedAt = Date.now()
      show({ data, stale: false, error: undefined })
    } catch (error) {
      if (mine !== loading) return
      show({ stale: true, error })
      later()
    }
  }

  /** Twice as long for each failure in a row, and a random part of that: never a loop of load and loss. */
  const later = () => {
    halt()
    due = true
    if (loadedAt !== 0 && Date.now() - loadedAt > calm) failures = 0
    const spread = Math.min(longestSpread, firstSpread * 2 ** failures++)
    retry = setTimeout(() => void run(), Math.random() * spread)
  }

  let standing = false
  const watcher: Watcher = {
    stands: () => {
      standing = true
      if (due && retry === undefined) void run()
    },
    lost: (loss) => {
      if (loss.code !== 'messages-lost' && loss.code !== 'parse-failure') standing = false
      for (const listener of [...losses]) listener(loss)
      if (load === undefined) return
      show({ stale: true })
      if (standing) later()
      else {
        halt()
        due = true
      }
    },
    closed: halt,
    message: (data) => {
      if (buffer !== undefined) buffer.push(data as Event)
      else if (!due) {
        try {
          show({ data: apply(view.data as State, data as Event) })
        } catch (error) {
          show({ error })
          if (load !== undefined) later()
        }
      }
    },
  }

  return {
    get: () => view.data,
    view: () => view,
    subscribe: (listener) => {
      // One that is given twice counts twice.
      const own = (state: State | undefined) => listener(state)
      listeners.add(own)
      clearTimeout(leaving)
      unwatch = unwatch ?? watch(watcher)
      listener(view.data)
      return () => {
        if (!listeners.delete(own) || listeners.size > 0) return
        leaving = setTimeout(() => {
          halt()
          unwatch?.()
          unwatch = undefined
          standing = false
          due = load !== undefined
          view = { ...view, stale: due }
        }, linger)
      }
    },
    on: (_event, listener) => {
      losses.add(listener)
      return () => void losses.delete(listener)
    },
  }
}
