import {
  createContext,
  createElement,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore,
} from 'react'
import type { ReactElement, ReactNode } from 'react'
import type {
  Live as LiveClient,
  LiveRun,
  LiveState,
  RunView,
  StateOptions,
  StateView,
  Status,
} from './types.js'

/** Null where there is no `<Live>`, undefined before its first effect. */
const Context = createContext<LiveClient | null | undefined>(null)
type Timer = ReturnType<typeof setTimeout>

const noRun: RunView<never> = { parts: [], state: 'connecting', end: undefined }
const noClient: StateView<never> = { data: undefined, stale: true, error: undefined }

/**
 * Gives the components below it one client. `connect` is called after the first render and never during
 * one, so nothing is opened on a server, and StrictMode's second mount finds the client of the first.
 */
export function Live(props: { connect: () => unknown; children?: ReactNode }): ReactElement {
  const { connect, children } = props
  const [client, setClient] = useState<LiveClient>()
  const { current: held } = useRef<{ client?: LiveClient; closing?: Timer }>({})
  useEffect(() => {
    clearTimeout(held.closing)
    // One client for as long as the provider is there, whatever function the next render gives.
    if (!held.client) setClient((held.client = connect() as LiveClient))
    // StrictMode and fast refresh mount again at once.
    return () => {
      held.closing = setTimeout(() => {
        held.client?.close()
        delete held.client
      }, 0)
    }
  }, [])
  return createElement(Context.Provider, { value: client }, children)
}

/** The client of `<Live>`. Undefined on a server and before the first effect. */
export function useLive(): LiveClient | undefined {
  const client = useContext(Context)
  if (client === null) throw new Error('unifrost/react: put <Live connect={…}> around this.')
  return client
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

interface Followed<View> {
  subscribe(listener: () => void): () => void
  view(): View
}

function useFollowed<View>(followed: Followed<View> | undefined, initial: View): View {
  return useSyncExternalStore(
    useCallback((listener) => followed?.subscribe(listener) ?? (() => undefined), [followed]),
    () => followed?.view() ?? initial,
    () => initial,
  )
}

/** The state of a topic, kept up to date while the component is there. */
export function useTopic<State, Event = State>(
  topic: string,
  options: StateOptions<State, Event>,
): StateView<State> {
  const client = useLive()
  const state = client && (stateOf(client, topic, options as never) as LiveState<State>)
  const initial = useMemo(
    (): StateView<State> =>
      options.initial === undefined ? noClient : { ...noClient, data: options.initial },
    [],
  )
  return useFollowed(state, initial)
}

/** The status of the client: `connecting` on a server and before the first effect. */
export function useStatus(): Status {
  const client = useLive()
  return useSyncExternalStore(
    useCallback((listener) => client?.onStatus(listener) ?? (() => undefined), [client]),
    () => client?.status ?? 'connecting',
    () => 'connecting',
  )
}

/**
 * All parts of a run so far, then those that come, then its end. Takes the address of the run's stream, or
 * what `live.run` answered in a handler: a render starts nothing.
 */
export function useRun<Data = string>(source: string | LiveRun<Data> | undefined): RunView<Data> {
  const client = useLive()
  const run = useMemo(
    () => (typeof source === 'string' ? client?.run<Data>(source) : source),
    [client, source],
  )
  return useFollowed(run, noRun)
}
