import type { Page } from '../support/stage.js'
import { Stage, turns } from '../support/stage.js'

// Clients that come back and do not say what they have got (docs/protocol.md, 3.3).

let stage: Stage
beforeEach(() => {
  stage = new Stage()
})
afterEach(() => stage.dispose())

async function publish(topic: string, ...payloads: string[]): Promise<void> {
  for (const payload of payloads) stage.driver.publish(topic, payload)
  await turns()
}

/** The connection breaks; of what is on its way, so many bytes still come. */
async function cut(page: Page, bytes = 0): Promise<void> {
  page.take(bytes)
  page.cut()
  await turns()
}

test('it is told of each topic of which something was on its way, and of no other', async () => {
  await stage.client('me', 'a', 'quiet', 'b')
  const first = await stage.connect('me')
  await publish('a', '1', '2')
  await publish('b', '3')
  await cut(first)
  await publish('a', '4')
  await publish('quiet', '5')
  const second = await stage.connect('me')
  expect(second.got).toEqual(['messages-lost:a', 'messages-lost:b', 'a=4', 'quiet=5'])
})

test('its first stream tells of nothing, though messages have waited for it', async () => {
  await stage.client('me', 'a')
  await publish('a', '1', '2')
  const first = await stage.connect('me')
  expect(first.got).toEqual(['a=1', 'a=2'])
})

test('it is told again, if that may have been on its way, too', async () => {
  await stage.client('me', 'a')
  await cut(await stage.connect('me'))
  expect((await stage.connect('me')).got).toEqual([])
  await publish('a', '1')
  for (let i = 0; i < 3; i++) {
    const page = await stage.connect('me')
    expect(page.got).toEqual(['messages-lost:a'])
  }
})

test('the first message carries no position, since it comes before the loss', async () => {
  await stage.client('me', 'a')
  await stage.connect('me')
  await publish('a', '1')
  const page = await stage.connect('me')
  expect(page.got).toEqual(['messages-lost:a'])
  expect(page.events.map(({ hasId }) => hasId)).toEqual([false, true])
})

test('what it has named before is not in doubt', async () => {
  await stage.client('me', 'a', 'b')
  const first = await stage.connect('me')
  await publish('a', '1')
  const { lastEventId } = first
  await stage.connect('me', lastEventId)
  await publish('b', '2')
  const third = await stage.connect('me')
  expect(third.got).toEqual(['messages-lost:b'])
})

test('a failed subscription that it may not know of is told as a loss', async () => {
  await stage.client('me', 'a')
  await stage.connect('me')
  stage.driver.last('a').sink.fail(new Error('gone'))
  await turns()
  const page = await stage.connect('me')
  expect(page.got).toEqual(['messages-lost:a'])
  expect(JSON.parse(page.events[0]!.data)).toMatchObject({ subscriptions: [] })
})

test('whatever of a replay was on its way is told', async () => {
  await stage.client('me')
  await stage.client('other', 'a')
  await publish('a', '1', '2')
  const first = await stage.connect('me')
  await stage.streamer.subscribe('me', 'a', { rewind: 2 })
  await turns()
  await cut(first)
  expect((await stage.connect('me')).got).toEqual(['messages-lost:a'])
})

test('wherever its streams break, what it misses it is told of, and it gets nothing twice', async () => {
  await stage.client('me', 'a')
  const got: string[] = []
  let sent = 0
  for (let bytes = 0; bytes < 400; bytes += 7) {
    const page = await stage.connect('me')
    await publish('a', String(++sent), String(++sent))
    await cut(page, bytes)
    got.push(...page.got)
  }
  const last = await stage.connect('me')
  await publish('a', 'end')
  got.push(...last.got)
  let before = 0
  let told = false
  for (const it of got) {
    if (it === 'messages-lost:a') told = true
    if (!it.startsWith('a=')) continue
    const number = it === 'a=end' ? sent + 1 : Number(it.slice(2))
    expect(number).toBeGreaterThan(before)
    expect(told || number === before + 1).toBe(true)
    before = number
    told = false
  }
  expect(before).toBe(sent + 1)
})
