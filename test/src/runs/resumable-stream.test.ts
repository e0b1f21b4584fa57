import { createResumableStreamContext } from 'unifrost/runs/resumable-stream'
import type { ResumableStreamContext } from 'unifrost/runs/resumable-stream'
import { MemoryStore } from '../../../src/runs/memory-store.js'

/** What resumable-stream's own tests hold it to, on the functions of the same names. */

let context: ResumableStreamContext
beforeEach(() => {
  context = createResumableStreamContext({ waitUntil: () => undefined, store: new MemoryStore() })
})
afterEach(() => context.close())

function source() {
  let controller!: ReadableStreamDefaultController<string>
  const stream = new ReadableStream<string>({ start: (given) => void (controller = given) })
  return {
    make: () => stream,
    write: (text: string) => controller.enqueue(text),
    end: () => controller.close(),
  }
}

async function text(stream: ReadableStream<string> | null | undefined): Promise<string> {
  let whole = ''
  for await (const chunk of stream!) whole += chunk
  return whole
}

test('acts like a stream', async () => {
  const { make, write, end } = source()
  const stream = await context.resumableStream('a', make)
  write('1\n')
  write('2\n')
  end()
  expect(await text(stream)).toBe('1\n2\n')
})

test('a stream that is done is not begun again', async () => {
  const { make, write, end } = source()
  const first = text(await context.resumableStream('a', make))
  write('1')
  end()
  expect(await first).toBe('1')
  expect(await context.hasExistingStream('a')).toBe('DONE')
  expect(await context.resumableStream('a', make)).toBeNull()
  expect(await context.resumeExistingStream('a')).toBeNull()
  expect(await context.resumeExistingStream('b')).toBeUndefined()
  expect(await context.hasExistingStream('b')).toBeNull()
})

test.each(['first', 'second'] as const)(
  'one in progress is resumed from its beginning, and both end; the %s is read first',
  async (order) => {
    const { make, write, end } = source()
    const first = await context.resumableStream('a', make)
    write('1')
    const second = await context.resumableStream('a', make)
    expect(await context.hasExistingStream('a')).toBe(true)
    write('2')
    end()
    const both = order === 'first' ? [first, second] : [second, first]
    for (const stream of both) expect(await text(stream)).toBe('12')
  },
)

test('goes on behind the characters that are skipped, and without its first reader', async () => {
  const { make, write, end } = source()
  const first = await context.createNewResumableStream('a', make)
  write('123')
  await first!.cancel()
  write('45')
  const second = context.resumeExistingStream('a', 4)
  end()
  expect(await text(await second)).toBe('5')
})

test('keeps several streams apart', async () => {
  const [a, b] = [source(), source()]
  const streams = [
    await context.resumableStream('a', a.make),
    await context.resumableStream('b', b.make),
  ]
  a.write('a')
  b.write('b')
  a.end()
  b.end()
  expect(await Promise.all(streams.map(text))).toEqual(['a', 'b'])
})

test('keeps the process until the stream is over', async () => {
  const lasting: Promise<unknown>[] = []
  const other = createResumableStreamContext({
    waitUntil: (promise) => void lasting.push(promise),
    store: new MemoryStore(),
  })
  const { make, end } = source()
  const stream = await other.resumableStream('a', make)
  expect(lasting).toHaveLength(1)
  end()
  await lasting[0]
  expect(await text(stream)).toBe('')
  await other.close()
})

test.each([
  {},
  { waitUntil: 1 },
  { waitUntil: null, publisher: 7 },
  { waitUntil: null, prefix: 'a' },
])('options that it does not take are refused: %j', (options) => {
  expect(() => createResumableStreamContext(options as never)).toThrow(
    expect.objectContaining({ code: 'ERR_UNIFROST_OPTIONS' }),
  )
})
