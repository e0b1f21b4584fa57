import { createSignal, getOwner, onCleanup } from 'solid-js'
import type { Accessor } from 'solid-js'
import type { Live, LiveState, StateView, Status } from './types.js'

/** The state with `stale` and `error`, as a signal. It lets the topic go with its owner. */
export function useTopic<State>(state: LiveState<State>): Accessor<StateView<State>> {
  const [view, setView] = createSignal(state.view(), { equals: false })
  const stop = state.subscribe(() => setView(state.view()))
  if (getOwner()) onCleanup(stop)
  return view
}

/** The client's status, as a signal. */
export function useStatus(live: Pick<Live, 'status' | 'onStatus'>): Accessor<Status> {
  const [status, setStatus] = createSignal(live.status)
  const stop = live.onStatus((next) => setStatus(next))
  if (getOwner()) onCleanup(stop)
  return status
}
