import { Sources } from 'unifrost/driver-kit'
import type { RoutingOptions, SourceEvents } from 'unifrost/driver-kit'
import { recordingSink } from 'unifrost/testing'

async function opened(options: RoutingOptions<string>) {
  let events!: SourceEvents<string>
  const sources = new Sources<string>(
    'fakeDriver',
    async (_, given) => {
      events = given
      return { close: async () => undefined }
    },
    options,
    (message) => message,
  )
  const sink = recordingSink()
  await sources.subscribe('x', sink)
  return { sink, events }
}

test.each([
  ['nothing', undefined, 'undefined'],
  ['null', null, 'null'],
  ['an object', { text: 'hello' }, 'object'],
  ['a number', 7, 'number'],
])('a payload that returns %s is a loss that is told', async (_, returned, got) => {
  const payload = () => returned as unknown as string
  const { sink, events } = await opened({ payload })
  events.message('1')
  expect(sink.entries).toEqual([
    {
      type: 'gap',
      reason:
        `payload failed on a message from x: TypeError: it returned ${got}; ` +
        'it has to return a string, bytes, or { event, data } of these',
    },
  ])
})

test('a payload that throws is a loss that is told, and the next message arrives', async () => {
  const payload = (message: string) => {
    if (message === 'bad') throw new Error('not JSON')
    return message
  }
  const { sink, events } = await opened({ payload })
  events.message('bad')
  events.message('good')
  expect(sink.entries[0]).toMatchObject({ type: 'gap' })
  expect(sink.texts()).toEqual(['good'])
})

test('text and bytes of any kind are passed on', async () => {
  const values = ['text', Buffer.from('buffer'), new TextEncoder().encode('bytes')]
  for (const value of values) {
    const { sink, events } = await opened({ payload: () => value })
    events.message('1')
    expect(sink.entries).toHaveLength(1)
    expect(sink.entries[0]).toMatchObject({ type: 'message' })
  }
})
