import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import { createRoot } from 'solid-js'
import { Live, useStatus, useTopic } from 'unifrost/react'
import * as solid from 'unifrost/solid'
import * as svelte from 'unifrost/svelte'
import * as vue from 'unifrost/vue'
import { effectScope } from 'vue'
import { liveState } from '../../src/client/state.js'
import type { Live as Client, Watcher } from '../../src/client/types.js'
import { until } from '../support/until.js'

jest.setTimeout(60_000)

function sum() {
  let watcher: Watcher | undefined
  const stops = jest.fn()
  const state = liveState<number, number>(
    (one) => {
      watcher = one
      one.stands?.()
      return stops
    },
    { apply: (all, event) => all + event, initial: 1 },
    0,
  )
  return { state, stops, send: (n: number) => watcher?.message?.(n, { topic: 'sum', id: '' }) }
}

/** What Svelte does for `$store`. */
function get<Value>(store: svelte.Store<Value>): Value | undefined {
  let value: Value | undefined
  store.subscribe((next) => (value = next))()
  return value
}

const open = { status: 'open', onStatus: () => () => undefined } as unknown as Client

test('React, in StrictMode: one client, subscription, load and POST for two mounts, none after unmount', async () => {
  const fixture = join(__dirname, 'react.fixture.mts')
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', fixture])
  expect(JSON.parse(stdout)).toEqual({
    connects: 1,
    closes: 1,
    watches: 1,
    unwatches: 1,
    loads: 1,
    loaded: 'open 1 falseopen 1 false',
    moved: 'open 5 falseopen 5 false',
    runs: {
      posts: ['POST https://a.test/chat'],
      answering: 'one open',
      answered: 'x done',
      isCheap: true,
      parts: 501,
    },
  })
})

test('React, on a server: the initial state, and no connection', () => {
  const connect = jest.fn()
  function Sum() {
    const { data } = useTopic('sum', { apply: (a: number) => a, initial: 7 })
    return createElement('p', null, `${useStatus()} ${data}`)
  }
  expect(renderToString(createElement(Live, { connect }, createElement(Sum)))).toBe(
    '<p>connecting 7</p>',
  )
  expect(connect).not.toHaveBeenCalled()
})

test('Vue: a ref follows the state until its scope ends', async () => {
  const { state, stops, send } = sum()
  const scope = effectScope()
  const view = scope.run(() => vue.useTopic(state))!
  send(2)
  expect(view.value.data).toBe(3)
  expect(scope.run(() => vue.useStatus(open))!.value).toBe('open')
  scope.stop()
  await until('the topic to go', () => stops.mock.calls.length === 1)
})

test('Svelte: states are stores', () => {
  const { state, send } = sum()
  const stop = state.subscribe(() => undefined)
  send(2)
  expect(get(state)).toBe(3)
  expect(get(svelte.topicStore(state))).toEqual({ data: 3, stale: false, error: undefined })
  expect(get(svelte.statusStore(open))).toBe('open')
  stop()
})

test('Solid: a signal follows the state until its owner is gone', () => {
  const { state, send } = sum()
  createRoot((dispose) => {
    const view = solid.useTopic(state)
    send(2)
    expect(view().data).toBe(3)
    expect(solid.useStatus(open)()).toBe('open')
    dispose()
  })
})
