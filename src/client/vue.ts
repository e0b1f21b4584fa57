import { getCurrentScope, onScopeDispose, shallowRef } from 'vue'
import type { ShallowRef } from 'vue'
import type { Live, LiveState, StateView, Status } from './types.js'

/** A ref to the state with `stale` and `error`. It lets the topic go with the component's scope. */
export function useTopic<State>(state: LiveState<State>): Readonly<ShallowRef<StateView<State>>> {
  const view = shallowRef(state.view())
  const stop = state.subscribe(() => (view.value = state.view()))
  if (getCurrentScope()) onScopeDispose(stop)
  return view
}

/** A ref to the client's status. */
export function useStatus(live: Pick<Live, 'status' | 'onStatus'>): Readonly<ShallowRef<Status>> {
  const status = shallowRef(live.status)
  const stop = live.onStatus((next) => (status.value = next))
  if (getCurrentScope()) onScopeDispose(stop)
  return status
}
