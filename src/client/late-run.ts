import type { LiveRun, RunView } from './types.js'

const view: RunView<never> = { parts: [], state: 'connecting', end: undefined }
const nothing = { view: () => view, end: undefined }

/** A run whose code is loaded when somebody listens. */
export function lateRun<Data>(load: () => Promise<LiveRun<Data>>): LiveRun<Data> {
  let run: Pick<LiveRun<Data>, 'view' | 'end'> = nothing
  let loaded: Promise<LiveRun<Data>> | undefined
  const get = () => (loaded = loaded ?? load().then((made) => (run = made)))
  return {
    view: () => run.view(),
    get end() {
      return run.end
    },
    close: () => void get().then((made) => made.close()),
    subscribe: (listener) => {
      let isOn = true
      const stop = get().then((made) => made.subscribe((now) => isOn && listener(now)))
      return () => {
        isOn = false
        void stop.then((end) => end())
      }
    },
    async *[Symbol.asyncIterator]() {
      yield* await get()
    },
  }
}
