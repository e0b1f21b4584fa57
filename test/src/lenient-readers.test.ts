import { CONNECTION_EVENT } from '../../src/event-names.js'
import { FakeResponse, fakeRequest } from '../support/fake-response.js'
import type { LenientReader } from '../support/lenient-readers.js'
import { EagerReader, EmptyLineReader, KeepingReader } from '../support/lenient-readers.js'
import { Stage, turns } from '../support/stage.js'
import { StubLog } from '../support/stub-log.js'
import { unsealed } from '../support/positions.js'
import { ManualClock } from '../support/manual-clock.js'
import { Streamer } from '../../src/streamer.js'

let stage: Stage
afterEach(() => stage.dispose())

const PAYLOADS = ['one', 'two\nlines', 'three']

/** Opens a stream, and gives all its bytes so far. */
async function stream(id: string, position?: string): Promise<FakeResponse> {
  const response = new FakeResponse()
  const request = fakeRequest(id, position)
  await stage.streamer.handle(request, response.asResponse)
  return response
}

/** What a page gets of three messages whose stream breaks behind so many bytes. */
async function cutBehind(bytes: number, reader: LenientReader) {
  await stage.client('me', 'topic')
  const first = await stream('me')
  for (const payload of PAYLOADS) stage.driver.publish('topic', payload)
  await turns()
  const text = first.receive().toString()
  first.destroy()
  reader.open()
  reader.feed(text.slice(0, bytes))
  const second = await stream('me', reader.position === '' ? undefined : reader.position)
  reader.open()
  reader.feed(second.receive().toString())
  second.destroy()
  await turns()
  await stage.streamer.removeClient('me')
  const mine = reader.got.filter(({ type }) => type !== CONNECTION_EVENT)
  return { length: text.length, got: mine.filter(({ type }) => type === 'topic'), all: mine }
}

/** The bytes of the stream's first event, which has the first position. */
async function greeting(): Promise<number> {
  await stage.client('me', 'topic')
  const response = await stream('me')
  const { length } = response.receive()
  response.destroy()
  await turns()
  await stage.streamer.removeClient('me')
  return length
}

test('a reader that keeps half an event gets each message once, wherever its stream breaks', async () => {
  stage = new Stage()
  const from = await greeting()
  for (let bytes = from, length = Infinity; bytes <= length; bytes++) {
    const result = await cutBehind(bytes, new KeepingReader())
    length = result.length
    const expected = PAYLOADS.map((data) => ({ type: 'topic', data }))
    expect({ bytes, got: result.got }).toEqual({ bytes, got: expected })
    for (const { type, data } of result.all) if (type === 'message') JSON.parse(data)
  }
})

test('a reader that counts an id before its event is whole loses nothing but by the very last byte', async () => {
  stage = new Stage()
  const from = await greeting()
  const losing: number[] = []
  let length = Infinity
  for (let bytes = from; bytes <= length; bytes++) {
    const result = await cutBehind(bytes, new EagerReader())
    length = result.length
    if (result.got.map(({ data }) => data).join() !== PAYLOADS.join()) losing.push(bytes)
  }
  // Three events, each of which ends with an empty line of one byte.
  expect(losing).toHaveLength(PAYLOADS.length)
})

test.each([
  ['as a comment', 'comment', 0],
  ['as a message', 'message', 3],
] as const)(
  'a reader of empty lines gets no message by a heartbeat %s',
  async (_, heartbeat, beats) => {
    stage = new Stage({ heartbeat, heartbeatInterval: 1_000 })
    await stage.client('me', 'topic')
    const response = await stream('me')
    const reader = new EmptyLineReader()
    for (let i = 0; i < 3; i++) await stage.wait(1_000)
    reader.feed(response.receive().toString())
    expect(reader.got.slice(1)).toEqual(
      Array.from({ length: beats }, () => ({ type: 'message', data: '{"heartbeat":true}' })),
    )
  },
)

test('nor by one that carries a position, since it has a name of its own', async () => {
  stage = new Stage()
  const log = new StubLog()
  const clock = new ManualClock()
  const streamer = new Streamer(log.server(), { clock, heartbeatInterval: 1_000 })
  const { id } = await streamer.newClient()
  await streamer.subscribe(id, 'topic')
  const response = new FakeResponse()
  await streamer.handle(fakeRequest(id), response.asResponse)
  await turns()
  const reader = new EmptyLineReader()
  log.publish(['other'], 'not ours')
  clock.advance(1_000)
  await turns()
  const text = response.receive().toString()
  expect(text).toMatch(/\n\nevent: unifrost-connection\nid: log1-1=[\w-]{11}\n\n$/)
  reader.feed(text)
  expect(reader.got.slice(1)).toEqual([{ type: CONNECTION_EVENT, data: '' }])
  expect(unsealed(reader.position)).toBe('log1-1')
  await streamer.close()
})

describe('a stream whose request names a position', () => {
  test.each(['e-1', 'unknown-0', 'x-9.a%2Fb@1.5.c'])('begins with %s', async (position) => {
    stage = new Stage()
    await stage.client('me')
    const text = (await stream('me', position)).receive().toString()
    const ahead = `:\nevent: unifrost-connection\nid: ${position}\n\nretry: `
    expect(text.slice(0, ahead.length)).toBe(ahead)
  })

  test.each(['a\nb', 'a\rid: x', 'a b', 'a\0', 'ü-1'])('does not repeat %j', async (position) => {
    stage = new Stage()
    await stage.client('me')
    const text = (await stream('me', position)).receive().toString()
    const ahead = ':\nevent: unifrost-connection\n\nretry: '
    expect(text.slice(0, ahead.length)).toBe(ahead)
  })

  test('and one that names none begins with its first message', async () => {
    stage = new Stage()
    await stage.client('me')
    expect((await stream('me')).receive().toString()).toMatch(/^retry: \d+\ndata: \{"config"/)
  })
})

describe('a goodbye', () => {
  const WEEK = 7 * 24 * 60 * 60 * 1000
  const retryOf = (text: string) =>
    Number(/retry: (\d+)\n[^]*?$/.exec(text.split('\n\n').at(-2)!)?.[1])

  test('to a client that is removed keeps its page away for days', async () => {
    stage = new Stage()
    await stage.client('me')
    const response = await stream('me')
    await stage.streamer.removeClient('me')
    const text = response.receive().toString()
    const ahead =
      'event: unifrost-connection\ndata: {"closed":{"reason":"removed","reconnect":false}}'
    expect(text).toMatch(/\n\nretry: \d+\ndata: Client closed\n\n$/)
    expect(text.split('\n\n').at(-3)).toBe(ahead)
    expect(retryOf(text)).toBe(WEEK)
  })

  test('of a server that stops lets its page come back as ever', async () => {
    stage = new Stage({ retry: { min: 70, max: 70 } })
    await stage.client('me')
    const response = await stream('me')
    const closing = stage.streamer.close()
    await turns()
    expect(retryOf(response.receive().toString())).toBe(70)
    await stage.wait(6_000)
    await closing
  })
})
