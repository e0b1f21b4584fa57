import type { Live, LiveState, StateView, Status } from './types.js'

/** Svelte's store contract. A `LiveState` holds to it by itself: this one also has `stale` and `error`. */
export interface Store<Value> {
  subscribe(listener: (value: Value) => void): () => void
}

/** A store of the state with `stale` and `error`: `$order.data`. */
export function topicStore<State>(state: LiveState<State>): Store<StateView<State>> {
  return { subscribe: (listener) => state.subscribe(() => listener(state.view())) }
}

/** A store of the client's status: `$status`. */
export function statusStore(live: Pick<Live, 'status' | 'onStatus'>): Store<Status> {
  return {
    subscribe: (listener) => {
      listener(live.status)
      return live.onStatus(listener)
    },
  }
}
