import {
  createContext,
  createElement,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useSyncExternalStore,
} from 'react'
import type { ReactElement, ReactNode } from 'react'
import type { Live as LiveClient, LiveState, StateOptions, StateView, Status } from './types.js'

interface Held {
  client: LiveClient | undefined
  subscribe(listener: () => void): () => void
}

const Context = createContext<Held | undefined>(undefined)
const noClient: StateView<never> = { data: undefined, stale: true, error: undefined }

/**
 * Gives the components below it one client. `connect` is called after the first render and never during
 * one, so nothing is opened on a server, and StrictMode's second mount finds the client of the first.
 */
export function Live(props: { connect: () => unknown; children?: ReactNode }): ReactElement {
  const { connect, children } = props
  const held = useMemo(() => {
    const listeners = new Set<() => void>()
    const made: Held = {
      client: undefined,
      subscribe: (listener) => {
        listeners.add(listener)
        return () => void listeners.delete(listener)
      },
    }
    let closing: ReturnType<typeof setTimeout>
    const mount = () => {
      clearTimeout(closing)
      if (made.client === undefined) {
        made.client = connect() as LiveClient
        for (const listener of [...listeners]) listener()
      }
      // StrictMode and fast refresh mount again at once.
      return () => {
        closing = setTimeout(() => {
          made.client?.close()
          made.client = undefined
        }, 0)
      }
    }
    return { made, mount }
    // One client for as long as the provider is there, whatever function the next render gives.
  }, [])
  useEffect(held.mount, [held])
  return createElement(Context.Provider, { value: held.made }, children)
}

function useHeld(): Held {
  const held = useContext(Context)
  if (held === undefined) throw new Error('unifrost/react: put <Live connect={…}> around this.')
  return held
}

const states = new WeakMap<LiveClient, Map<string, LiveState<unknown>>>()

/** One state for each topic of a client, with the options that it was first asked for with. */
function stateOf(client: LiveClient, topic: string, options: StateOptions<unknown, unknown>) {
  let all = states.get(client)
  if (all === undefined) states.set(client, (all = new Map<string, LiveState<unknown>>()))
  let state = all.get(topic)
  if (state === undefined) all.set(topic, (state = client.state(topic, options)))
  return state
}

/** The state of a topic, kept up to date while the component is there. */
export function useTopic<State, Event = State>(
  topic: string,
  options: StateOptions<State, Event>,
): StateView<State> {
  const held = useHeld()
  const client = useSyncExternalStore(
    held.subscribe,
    () => held.client,
    () => undefined,
  )
  const state = client && (stateOf(client, topic, options as never) as LiveState<State>)
  const initial = useMemo(
    (): StateView<State> =>
      options.initial === undefined ? noClient : { ...noClient, data: options.initial },
    [],
  )
  return useSyncExternalStore(
    useCallback((listener) => state?.subscribe(listener) ?? (() => undefined), [state]),
    () => state?.view() ?? initial,
    () => initial,
  )
}

/** The status of the client: `connecting` on a server and before the first effect. */
export function useStatus(): Status {
  const held = useHeld()
  const client = useSyncExternalStore(
    held.subscribe,
    () => held.client,
    () => undefined,
  )
  return useSyncExternalStore(
    useCallback((listener) => client?.onStatus(listener) ?? (() => undefined), [client]),
    () => client?.status ?? 'connecting',
    () => 'connecting',
  )
}
