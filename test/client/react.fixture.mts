// A page in StrictMode, in a DOM that needs no browser. Says what it saw as JSON.
import { Window } from 'happy-dom'
import { act, createElement, StrictMode } from 'react'
import { liveState } from '../../src/client/state.js'
import type { Live as Client, Watcher } from '../../src/client/types.js'
import { until } from '../support/until.js'

const window = new Window()
Object.assign(globalThis, { window, document: window.document, IS_REACT_ACT_ENVIRONMENT: true })
// Node has one of its own from version 21 on.
if (!('navigator' in globalThis)) Object.assign(globalThis, { navigator: window.navigator })
const { createRoot } = await import('react-dom/client')
const { Live, useStatus, useTopic } = await import('../../src/client/react.js')

const seen = { connects: 0, closes: 0, watches: 0, unwatches: 0, loads: 0 }
let watcher: Watcher | undefined
const watch = (one: Watcher) => {
  seen.watches++
  watcher = one
  one.stands?.()
  return () => void seen.unwatches++
}
const client = {
  status: 'open',
  onStatus: () => () => undefined,
  state: (_topic: string, options: never) => liveState(watch, options, 0),
  close: () => void seen.closes++,
} as unknown as Client
const connect = () => {
  seen.connects++
  return client
}
const load = () => {
  seen.loads++
  return 1
}
const apply = (sum: number, event: number) => sum + event

function Sum() {
  const { data, stale } = useTopic<number>('sum', { load, apply, initial: 0 })
  return createElement('p', null, `${useStatus()} ${data} ${stale}`)
}

const container = window.document.createElement('div')
const root = createRoot(container as never)
const page = createElement(
  StrictMode,
  null,
  createElement(Live, { connect }, createElement(Sum), createElement(Sum)),
)
await act(async () => root.render(page))
const loaded = container.textContent
await act(async () => watcher?.message?.(4, { topic: 'sum', id: '' }))
const moved = container.textContent
await act(async () => {
  root.unmount()
  await until('the client to be closed', () => seen.closes === 1 && seen.unwatches === 1)
})
process.stdout.write(JSON.stringify({ ...seen, loaded, moved }))
await window.happyDOM.close()
