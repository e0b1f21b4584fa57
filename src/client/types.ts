/** `waiting`: between two attempts, or away in the browser's back/forward cache. `closed`: for good. */
export type Status = 'connecting' | 'open' | 'waiting' | 'closed'

/** What EventSource and what stands in for it have in common: all that the client needs of them. */
export interface EventSourceLike {
  readonly readyState: number
  onerror: ((event: never) => void) | null
  addEventListener(type: string, listener: (event: never) => void): void
  close(): void
}

/** An address, or what answers it: that is asked at each attempt. */
export type Address = string | (() => string | Promise<string>)

export interface SourceOptions {
  withCredentials: boolean
  headers?: Headers | undefined
}

/** Any class of EventSource's form, whatever types its package gives it. */
export type EventSourceClass = new (url: string, options: never) => { close(): void }

/** Asked for at each attempt, so that a token is never older than the attempt. */
export type Headers = () => Record<string, string> | Promise<Record<string, string>>

/** As in https://standardschema.dev. Only what answers at once: a message waits for nothing. */
export interface Schema {
  readonly '~standard': { readonly validate: (value: unknown) => unknown }
}

export interface ConnectOptions {
  /**
   * The address of the server's `clients` route. With it the page makes its own client, and changes its
   * topics by `subscriptions`. Without it the topics stand in the stream's address, for `autoClient`.
   */
  clients?: string | undefined
  /** The address of the server's `subscriptions` route. Needed with `clients`. */
  subscriptions?: string | undefined
  /** Headers for the stream and for the other requests. With them the stream is read with `fetch`. */
  headers?: Headers | undefined
  /** What makes a message of its text: a function, or a schema for each topic. Default: `JSON.parse`. */
  parse?: ((text: string) => unknown) | Readonly<Record<string, Schema>> | undefined
  /** For how many milliseconds a topic that nobody handles any more is kept. Default: 1000. */
  linger?: number | undefined
  /** The longest wait between two attempts, in milliseconds. Default: 30000. */
  maxWait?: number | undefined
  /** Whether cookies go to another origin. Default: false. */
  withCredentials?: boolean | undefined
  /** The name that the server's `infoEvent` gives info messages. Default: `message`. */
  infoEvent?: string | undefined
  /** For Node, Bun, Deno and React Native: the class that opens streams. Default: the global one. */
  EventSource?: EventSourceClass | undefined
}

export interface Message<Topic extends string = string> {
  topic: Topic
  /** The position of the message in the stream. */
  id: string
}

/** A topic has a hole, or the server refused or ended it. */
export interface Loss {
  topic: string
  /**
   * The server's code, such as `messages-lost` or `ERR_UNIFROST_FORBIDDEN_TOPIC`. The client's own are
   * `new-client` (the server had forgotten the old one) and `parse-failure`.
   */
  code: string
  message: string
}

export interface StateOptions<State, Event> {
  /** Loads the whole state. Runs when the topic stands, and again after a loss. */
  load?: ((context: { signal: AbortSignal }) => Promise<State> | State) | undefined
  /** The state after an event. It must bear an event that `load` already had. */
  apply: (state: State, event: Event) => State
  /** The state before the first `load`. Without `load`, the state that the first event is applied to. */
  initial?: State | undefined
}

export interface StateView<State> {
  readonly data: State | undefined
  /** `data` is the last good state, and a newer one is on its way. */
  readonly stale: boolean
  /** What the last `load` or `apply` failed with. It is tried again. */
  readonly error: unknown
}

export interface LiveState<State> {
  get(): State | undefined
  /** The state with `stale` and `error`: one object until something changes. */
  view(): StateView<State>
  /** Calls at once and after each change, as Svelte's stores do. The topic is kept while anybody listens. */
  subscribe(listener: (state: State | undefined) => void): () => void
  on(event: 'lost', listener: (loss: Loss) => void): () => void
}

export interface RunSource<Data = string> {
  /** The address of the run's stream, or what answers it. Default: the `Location` of the POST's answer, then `start.url`. */
  url?: Address | undefined
  /**
   * The POST that starts the run. Its answer may be the run's stream. It is sent once, when somebody
   * listens. A body is sent as JSON; text that is no JSON, FormData and the like go as they are.
   */
  start?:
    | {
        url?: Address | undefined
        method?: 'POST' | undefined
        headers?: Record<string, string> | undefined
        body?: unknown
      }
    | undefined
  /** What makes a part's data of its text. Default: the text. */
  parse?: ((text: string, event: string | undefined) => Data) | undefined
}

/** A part of a run. */
export interface RunPart<Data = string> {
  /** Its place. A transient part has none. */
  readonly id: string | undefined
  readonly data: Data
  readonly event: string | undefined
}

/** How a run ended. `failed` is also what the client was refused with: `code` says which. */
export type RunEnd =
  | { readonly kind: 'done'; readonly data?: unknown }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string }
  | { readonly kind: 'stopped' }

export interface RunView<Data = string> {
  /** All parts so far. */
  readonly parts: readonly RunPart<Data>[]
  /** `closed`: the client was closed before the run's end. */
  readonly state: 'connecting' | 'open' | 'waiting' | 'closed' | RunEnd['kind']
  readonly end: RunEnd | undefined
}

/** A run as it is read. `for await` gives each part once, and finishes with the run. */
export interface LiveRun<Data = string> extends AsyncIterable<RunPart<Data>> {
  /** How the run ended. Undefined before, and where the client was closed first. */
  readonly end: RunEnd | undefined
  /** All that there is: one object until something changes. */
  view(): RunView<Data>
  /** Calls as soon as the code is loaded, and after each change. Parts that come together are one change. */
  subscribe(listener: (view: RunView<Data>) => void): () => void
  /** Reads no further. The run goes on at the server. */
  close(): void
}

export interface Live<Topics extends object = Record<string, unknown>> {
  readonly status: Status
  /** Calls with each new status. Answers what ends that. */
  onStatus(listener: (status: Status) => void): () => void
  /**
   * Handles the topic's messages. The first handler subscribes; when the last one has gone, the client
   * unsubscribes after `linger`.
   */
  on<Topic extends keyof Topics & string>(
    topic: Topic,
    handler: (data: Topics[Topic], message: Message<Topic>) => void,
  ): () => void
  /** Handles the messages of all topics, those that the server added included. */
  onAny(handler: (data: unknown, message: Message) => void): () => void
  /** Tells of each loss. */
  onLost(listener: (loss: Loss) => void): () => void
  /** A state that events keep up to date. */
  state<Topic extends keyof Topics & string, State = Topics[Topic]>(
    topic: Topic,
    options: StateOptions<State, Topics[Topic]>,
  ): LiveState<State>
  /** Reads a run of `unifrost/runs`, once somebody listens. */
  run<Data = string>(source: Address | RunSource<Data>): LiveRun<Data>
  /** Ends the stream for good. */
  close(): void
}

/** What a state needs to know of its topic. */
export interface Watcher {
  /** The server has the subscription, and the stream is open. */
  stands?: () => void
  lost?: (loss: Loss) => void
  message?: (data: unknown, message: Message) => void
  /** The client was closed: nothing more comes. */
  closed?: () => void
}
