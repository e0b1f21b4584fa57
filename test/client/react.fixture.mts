// A page in StrictMode, in a DOM that needs no browser. Says what it saw as JSON.
import { Window } from 'happy-dom'
import { act, createElement, StrictMode } from 'react'
import { readRun } from '../../src/client/run.js'
import { liveState } from '../../src/client/state.js'
import type { Live as Client, Watcher } from '../../src/client/types.js'
import { until } from '../support/until.js'

const window = new Window()
Object.assign(globalThis, { window, document: window.document, IS_REACT_ACT_ENVIRONMENT: true })
// Node has one of its own from version 21 on.
if (!('navigator' in globalThis)) Object.assign(globalThis, { navigator: window.navigator })
const { createRoot } = await import('react-dom/client')
const { Live, useRun, useStatus, useTopic } = await import('../../src/client/react.js')

// One answer to the POST: a part, then another and the end when the page has shown the first.
let more: (text: string) => void = () => undefined
const posts: string[] = []
globalThis.fetch = async (to, init) => {
  posts.push(`${init?.method ?? 'GET'} ${String(to)}`)
  const encoder = new TextEncoder()
  const body = new ReadableStream({
    start: (controller) => {
      more = (text) => controller.enqueue(encoder.encode(text))
      more('data: one\nid: r-1\n\n')
    },
  })
  return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
}

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

const run = readRun<string>({ start: { url: 'https://a.test/chat', body: {} } }, {}, client)
let renders = 0
function Answer() {
  const { parts, state } = useRun(run)
  renders++
  return createElement('p', null, `${parts.map(({ data }) => data).join(',')} ${state}`)
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
const closed = { ...seen }
const answers = window.document.createElement('div')
const other = createRoot(answers as never)
await act(async () => {
  other.render(
    createElement(StrictMode, null, createElement(Live, { connect }, createElement(Answer))),
  )
})
await act(async () => until('the first part', () => run.view().parts.length === 1))
const answering = answers.textContent
await act(async () => {
  const many = Array.from({ length: 500 }, (_, n) => `data: x\nid: r-${n + 2}\n\n`)
  more(`${many.join('')}event: end\ndata: {"kind":"done"}\nid: r-502\n\n`)
  await until('the end', () => run.end !== undefined)
})
const answered = answers.textContent.slice(-6)
const runs = { posts, answering, answered, isCheap: renders < 30, parts: run.view().parts.length }
await act(async () => other.unmount())
process.stdout.write(JSON.stringify({ ...closed, loaded, moved, runs }))
await window.happyDOM.close()
